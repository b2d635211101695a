// A message centre for tests: the library jSMPP, told what to do by lines on standard input, and
// telling what came by lines on standard output.
//
//   status N      submits are refused with this status (0: accepted)
//   bind N        so are binds
//   after N       accept N submits before the status counts
//   hold, release submits have no response until released
//   receipt ID TEXT...   deliver a receipt in each session; "delivered N" says the response
//   typed ID STATE       the same with the id and the state as optional parameters alone
//   text TEXT...         deliver what a phone wrote
//   drop          end every session
//   look          nothing: what came before is said before this is done

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.jsmpp.bean.*;
import org.jsmpp.extra.NegativeResponseException;
import org.jsmpp.extra.ProcessRequestException;
import org.jsmpp.session.*;
import org.jsmpp.util.MessageId;

public class Smsc implements ServerMessageReceiverListener {
  private final List<SMPPServerSession> sessions = new CopyOnWriteArrayList<>();
  private final AtomicInteger ids = new AtomicInteger();
  private final AtomicInteger first = new AtomicInteger();
  private volatile int status = 0;
  private volatile int bind = 0;
  private volatile CountDownLatch held = new CountDownLatch(0);

  public static void main(String[] words) throws Exception {
    new Smsc().run(Integer.parseInt(words[0]), words[1], words[2]);
  }

  private void run(int port, String systemId, String password) throws Exception {
    SMPPServerSessionListener listener = new SMPPServerSessionListener(port);
    listener.setPduProcessorDegree(20);
    Thread accepting = new Thread(() -> accept(listener, systemId, password));
    accepting.setDaemon(true);
    accepting.start();
    say("ready");
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      told(line.split(" ", 3));
      say("done");
    }
    System.exit(0);
  }

  private void told(String[] words) throws Exception {
    switch (words[0]) {
      case "status" -> status = Integer.parseInt(words[1]);
      case "bind" -> bind = Integer.parseInt(words[1]);
      case "after" -> first.set(Integer.parseInt(words[1]));
      case "hold" -> held = new CountDownLatch(1);
      case "release" -> held.countDown();
      case "look" -> { }
      case "drop" -> { for (SMPPServerSession one : sessions) one.close(); }
      case "receipt" -> deliver(MessageType.SMSC_DEL_RECEIPT, "id:" + words[1] + " " + words[2]);
      case "typed" -> deliver(MessageType.SMSC_DEL_RECEIPT, "",
          new OptionalParameter.Receipted_message_id(words[1]),
          new OptionalParameter.Message_state(Byte.parseByte(words[2])));
      case "text" -> deliver(MessageType.DEFAULT, words[1]);
      default -> say("unknown " + words[0]);
    }
  }

  private void deliver(MessageType type, String text, OptionalParameter... more) {
    for (SMPPServerSession session : sessions) {
      new Thread(() -> {
        try {
          session.deliverShortMessage("", TypeOfNumber.INTERNATIONAL, NumberingPlanIndicator.ISDN,
              "4915112345678", TypeOfNumber.ALPHANUMERIC, NumberingPlanIndicator.UNKNOWN, "Bank",
              new ESMClass(MessageMode.DEFAULT, type, GSMSpecificFeature.DEFAULT), (byte) 0,
              (byte) 0, new RegisteredDelivery(0), DataCodings.ZERO,
              text.getBytes(StandardCharsets.ISO_8859_1), more);
          say("delivered 0");
        } catch (NegativeResponseException refused) {
          say("delivered " + refused.getCommandStatus());
        } catch (Exception error) {
          say("delivered " + error.getClass().getSimpleName());
        }
      }).start();
    }
  }

  private void accept(SMPPServerSessionListener listener, String systemId, String password) {
    while (true) {
      try {
        SMPPServerSession session = listener.accept();
        session.setMessageReceiverListener(this);
        session.setTransactionTimer(15000);
        session.setEnquireLinkTimer(600000);
        session.addSessionStateListener((now, before, of) -> {
          if (now.equals(org.jsmpp.extra.SessionState.CLOSED)) sessions.remove(session);
        });
        new Thread(() -> bound(session, systemId, password)).start();
      } catch (Exception error) {
        say("error " + error);
        return;
      }
    }
  }

  private void bound(SMPPServerSession session, String systemId, String password) {
    try {
      BindRequest request = session.waitForBind(10000);
      int refusal = bind != 0 ? bind
          : !request.getSystemId().equals(systemId) ? 0x0F
          : !request.getPassword().equals(password) ? 0x0E : 0;
      if (refusal != 0) {
        request.reject(refusal);
        return;
      }
      request.accept("peer", InterfaceVersion.IF_34);
      sessions.add(session);
      say("bound " + request.getBindType());
    } catch (Exception error) {
      say("unbound " + error.getClass().getSimpleName());
    }
  }

  public SubmitSmResult onAcceptSubmitSm(SubmitSm it, SMPPServerSession session)
      throws ProcessRequestException {
    String id = "m-" + ids.incrementAndGet();
    OptionalParameter.Message_payload payload =
        it.getOptionalParameter(OptionalParameter.Message_payload.class);
    HexFormat hex = HexFormat.of();
    say(String.join(" ", "submit", id,
        "source=" + it.getSourceAddr().replace(' ', '_') + "/" + it.getSourceAddrTon() + "/"
            + it.getSourceAddrNpi(),
        "to=" + it.getDestAddress() + "/" + it.getDestAddrTon() + "/" + it.getDestAddrNpi(),
        "esm=" + it.getEsmClass(), "coding=" + it.getDataCoding(),
        "receipt=" + it.getRegisteredDelivery(), "short=" + hex.formatHex(it.getShortMessage()),
        "payload=" + (payload == null ? "" : hex.formatHex(payload.getValue()))));
    try {
      held.await();
    } catch (InterruptedException error) {
      throw new ProcessRequestException("interrupted", 8);
    }
    if (status != 0 && first.getAndDecrement() <= 0) {
      throw new ProcessRequestException("as told", status);
    }
    try {
      return new SubmitSmResult(new MessageId(id), new OptionalParameter[0]);
    } catch (org.jsmpp.PDUStringException error) {
      throw new ProcessRequestException("id", 8);
    }
  }

  public void onAcceptEnquireLink(EnquireLink it, Session session) {
    say("enquired");
  }

  public SubmitMultiResult onAcceptSubmitMulti(SubmitMulti it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public QuerySmResult onAcceptQuerySm(QuerySm it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public void onAcceptReplaceSm(ReplaceSm it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public void onAcceptCancelSm(CancelSm it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public BroadcastSmResult onAcceptBroadcastSm(BroadcastSm it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public void onAcceptCancelBroadcastSm(CancelBroadcastSm it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public QueryBroadcastSmResult onAcceptQueryBroadcastSm(
      QueryBroadcastSm it, SMPPServerSession session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  public DataSmResult onAcceptDataSm(DataSm it, Session session)
      throws ProcessRequestException { throw new ProcessRequestException("no", 3); }

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }
}
