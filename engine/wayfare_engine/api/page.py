"""The OpenAPI page, whole in itself: banks' networks load nothing from elsewhere."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Wayfare engine API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;
 padding:0 1rem;color:#1b2733}
h2{border-bottom:1px solid #ccd4dc;padding-bottom:.3rem}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f4f6f8;padding:.8rem;overflow:auto}
.verb{display:inline-block;min-width:4rem;font-weight:700;color:#0b5cab}
details{margin:.6rem 0;border:1px solid #ccd4dc;border-radius:6px;padding:.5rem .8rem}
summary{cursor:pointer}
table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}
</style>
<h1 id="title">Wayfare engine API</h1><p id="about"></p>
<p>The same as a document: <a href="openapi.json">openapi.json</a></p>
<main id="paths">Loading…</main>
<script>
const element=(tag,text,cls)=>{const e=document.createElement(tag);
  if(text)e.textContent=text;if(cls)e.className=cls;return e};
const block=(title,value)=>{const d=element('div');d.append(element('h4',title));
  d.append(element('pre',JSON.stringify(value,null,2)));return d};
fetch('openapi.json').then(r=>r.json()).then(api=>{
  document.getElementById('title').textContent=api.info.title+' '+api.info.version;
  document.getElementById('about').textContent=api.info.description||'';
  const main=document.getElementById('paths');main.textContent='';
  for(const [path,verbs] of Object.entries(api.paths))for(const [verb,op] of Object.entries(verbs)){
    const d=element('details'),s=element('summary');
    s.append(element('span',verb.toUpperCase(),'verb'),element('code',path),
      element('span',' '+(op.summary||'')));
    d.append(s,element('p',op.description));
    if(op.requestBody)d.append(block('Request body',op.requestBody.content));
    const t=element('table');
    for(const [code,answer] of Object.entries(op.responses||{})){
      const r=element('tr');
      r.append(element('td',code),element('td',answer.description));t.append(r);
    }
    d.append(element('h4','Answers'),t);main.append(d);
  }
  main.append(block('Schemas',(api.components||{}).schemas||{}));
});
</script></html>
"""
