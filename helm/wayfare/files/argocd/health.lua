-- Health of Engine, Segment, Journey, Channel and RecoveryPlan for Argo CD, from the conditions that kstatus reads.
-- In the ConfigMap argocd-cm: resource.customizations.health.wayfare.dev_Journey: | (this file)
local health = {status = "Progressing", message = "not looked at yet"}
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  health.message = "an older version of the spec is reported"
  return health
end
local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end
local ready, stalled = found.Ready, found.Stalled
local reconciling = found.Reconciling
if stalled ~= nil and stalled.status == "True" then
  return {status = "Degraded", message = stalled.message}
end
if reconciling ~= nil and reconciling.status == "True" then
  return {status = "Progressing", message = reconciling.message}
end
if ready ~= nil and ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
if ready ~= nil then
  health.message = ready.message
  if ready.status == "False" then
    health.status = "Degraded"
  end
end
return health
