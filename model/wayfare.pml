/* Journal, lease and hand-over WITHOUT clocks: promises P1 and P2 (docs/lease.md).

   2 sites, 3 epochs, 2 send keys. Each object of the store changes in one step; a check and the
   send that relies on it are separate steps, any time apart. Processes of an old epoch go on for
   ever, and may die and start again, CRASHES times an epoch. Nothing here rests on time.

   Key 0 goes out by a channel of class `Key` (the provider knows repeats), key 1 by one of class
   `None` (it does not).

   A write that lands late needs no state of its own: SEAL is the moment at which the put takes
   effect, and everything that it depends on (the committed rows, the place in the chain) is still
   so at that moment. HAND_OVER is the arrival outside, for the same reason.

   Safeguards are removed one at a time: -DNO_CLOSED, -DNO_DISPATCH_GUARD, -DNO_KEY.
   -DREACH asks whether the model gets anywhere: a send in the last epoch must be found.
   Names after "step" stand in the code ("model: TAKE"); "world" is what nobody controls. */

#define EPOCHS 3
#define KEYS   2
#ifndef CRASHES
#define CRASHES 1
#endif

#define BIT(k)     (1 << (k))
#define IN(set, k) (((set) >> (k)) & 1)
#define DEDUPES(k) ((k) == 0)

/* The store. A set of keys is a byte with a bit a key; the index is the epoch. */
byte highest = 1;           /* lease objects 1..highest exist */
byte segments[EPOCHS + 1];  /* dispatches in the chain of an epoch */
byte late[EPOCHS + 1];      /* the same, put after the chain was ended (only -DNO_CLOSED) */
bool ended[EPOCHS + 1];     /* the taker of a higher epoch reads this chain to here */

/* The two databases. */
bit  site[EPOCHS + 1];      /* which site holds an epoch; epoch 1: site 0 */
byte writes[2];             /* the epoch that a site's database writes under: the fence */
byte ledger[EPOCHS + 1];    /* dispatches committed under an epoch */

/* Outside. */
byte known[EPOCHS + 1];     /* idempotency keys that the provider has seen; index: PLACE */
byte effects[KEYS];         /* how often a send took effect */

/* The idempotency key: the same wherever the node fires, or (broken) one of the epoch's own. */
#ifdef NO_KEY
#define PLACE(e) (e)
#else
#define PLACE(e) 0
#endif

/* Nothing leaves before its dispatch is known to be in the store. */
#ifdef NO_DISPATCH_GUARD
#define DISPATCH_GUARD(k) true
#else
#define DISPATCH_GUARD(k) IN(acked, k)
#endif

/* What the closed chains tell the holder of epoch e. */
#ifdef NO_KEY
#define FROM_CHAINS(e) 0    /* the same send goes by another name here */
#else
#define FROM_CHAINS(e) (((e) > 1 -> segments[1] : 0) | ((e) > 2 -> segments[2] : 0))
#endif

inline commit(k) {          /* one transaction, under the fence of the database */
  ledger[e] = ledger[e] | BIT(k);
  mine = mine | BIT(k)
}

inline put(k) {             /* put-if-absent at the chain's next place, which may hold `Closed` */
  if
  :: !ended[e] -> segments[e] = segments[e] | BIT(k)
#ifdef NO_CLOSED
  :: ended[e] -> late[e] = late[e] | BIT(k)
#else
  :: ended[e]
#endif
  fi
}

inline effect(k) {
#ifdef P2                   /* what leaves is in its epoch's chain, before the chain's end */
  assert(IN(segments[e], k));
#endif
#ifdef REACH
  assert(e < EPOCHS);
#endif
  mine = mine & ~BIT(k);
  if
  :: DEDUPES(k) && IN(known[PLACE(e)], k)
  :: else -> known[PLACE(e)] = known[PLACE(e)] | BIT(k); effects[k]++
  fi;
#ifdef P1                   /* and takes effect once */
  assert(effects[k] <= 1);
#endif
  skip
}

#define STEPS(k) \
  :: atomic { /* step DISPATCH: its turn has come, and no chain says that it went */ \
       !IN(ledger[e], k) && !IN(seen, k) && writes[site[e]] == e -> commit(k) } \
  :: atomic { /* step RESOLVE: in doubt from an older epoch: repeat where that is safe */ \
       !IN(ledger[e], k) && IN(seen, k) && DEDUPES(k) && writes[site[e]] == e -> commit(k) } \
  :: atomic { /* step RESOLVE: in doubt from before a crash; class `None` stays Unknown */ \
       IN(ledger[e], k) && !IN(mine, k) && DEDUPES(k) && crashes > 0 -> mine = mine | BIT(k) } \
  :: atomic { /* step SEAL: the segment with this row reaches the store */ \
       IN(ledger[e], k) && !IN(segments[e] | late[e], k) -> put(k) } \
  :: atomic { /* step JOURNALED: the store answered, or was read back */ \
       IN(segments[e] | late[e], k) && !IN(acked, k) -> acked = acked | BIT(k) } \
  :: atomic { /* step HAND_OVER: the dispatch is in the store, and the last check held */ \
       right && IN(mine, k) && DISPATCH_GUARD(k) -> effect(k) }

proctype Holder(byte e) {
  byte c = 1;               /* the next chain to end */
  byte seen;                /* dispatches of lower epochs, from the chains */
  byte mine;                /* dispatches that this process made or took up, not handed over */
  byte acked;               /* dispatches that this process knows to be in the store */
  bool right;               /* the last check said "not found" */
  byte crashes;

  if
  :: e == 1
  :: e > 1 ->
     atomic { /* step TAKE: put-if-absent of the next lease object, by either site */
       highest == e - 1 -> highest = e;
       if :: site[e] = 0 :: site[e] = 1 fi };
     do
     :: atomic { /* step CLOSE: end a chain of a lower epoch */
          c < e -> ended[c] = true; c++ }
     :: atomic { c == e -> c = 1; break }
     od;
     atomic { /* step RAISE: the database refuses writers of lower epochs */
       if :: writes[site[e]] < e -> writes[site[e]] = e :: else fi };
     atomic { /* step CATCH_UP: the closed chains are applied */
       seen = FROM_CHAINS(e) }
  fi;

  do
  STEPS(0)
  STEPS(1)
  :: atomic { /* step CHECK: is the next lease object "not found" at this moment? */
       right != (highest == e) -> right = (highest == e) }
  :: atomic { /* world: the process dies and another starts */
       crashes < CRASHES && (right || mine || acked) -> crashes++; mine = 0; acked = 0; right = false }
  od
}

init {
  atomic { writes[0] = 1; writes[1] = 1; run Holder(1); run Holder(2); run Holder(3) }
}
