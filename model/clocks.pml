/* The lease WITH clocks: promise P3 (docs/lease.md). No hand-over of an epoch starts after the
   first of a higher one.

   3 epochs, each with a holder, a host that it hands over to, and a clock for each of the two.
   Clocks differ in rate only: while true time makes one tick, a clock makes SLOW or FAST units, so
   rho = (FAST - SLOW) / (FAST + SLOW) = 1/3, far worse than any real clock. All timers run on such
   clocks; none is compared with another's. Time may pass between any two steps, as it does for a
   process that is stopped. Timers count down or saturate, so the search has no horizon.

   Bounds are closed for the old holder (it may act at the very end of its right) and open for the
   taker (it acts after its wait, not at its end), so the wait is tight: one unit less fails.

   Safeguards are removed one at a time: -DNO_WAIT, -DNO_CHECK; and the parts of the wait:
   -DNO_RATE, -DNO_HAND_OVER_TIME, -DNO_LATE_REFUSAL, -DCARRY_ALL, -DFROM_ANSWER, -DONE_LESS.
   -DREACH asks whether the model gets anywhere: a hand-over of the last epoch must be found. */

#define EPOCHS 3
#define SLOW   1
#define FAST   2
#define TTL    4
#define H      4
#ifdef CARRY_ALL
#define CARRIED H
#else
#define CARRIED (H * SLOW / FAST)     /* H(1-rho)/(1+rho): what a hand-over may carry */
#endif

#if defined(NO_WAIT)
#define PASSED(w) true
#else
#if defined(NO_RATE)
#define WAIT (TTL + H)
#elif defined(NO_HAND_OVER_TIME)
#define WAIT (TTL * FAST / SLOW)
#elif defined(ONE_LESS)
#define WAIT (TTL * FAST / SLOW + H - 1)
#else
#define WAIT (TTL * FAST / SLOW + H)  /* TTL(1+rho)/(1-rho) + H */
#endif
#define PASSED(w) ((w) > WAIT)
#endif
#define LONGEST (TTL * FAST / SLOW + H + 2)   /* where the timer of the wait saturates */

#define LESS(t, by) ((t) > (by) -> (t) - (by) : 0)

byte highest = 1;         /* the store: lease objects 1..highest exist */
byte started = 1;         /* the highest epoch of which a hand-over has started */

/* Of each epoch's holder; index: epoch. Timers are 0 when off, else 1 + units. */
byte waited[EPOCHS + 1];  /* since its lease object was there */
byte left[EPOCHS + 1];    /* until its right to act ends */
byte asked[EPOCHS + 1];   /* since its present check began */
bool answer[EPOCHS + 1];  /* the store has answered that check */
bool absent[EPOCHS + 1];  /* and said that the next lease object is "not found" */
byte onway[EPOCHS + 1];   /* until the host refuses the hand-over that is under way */

#ifdef FROM_ANSWER
#define EXTEND left[e] = TTL + 1
#else
#define EXTEND left[e] = (left[e] > TTL + 2 - asked[e] -> left[e] : TTL + 2 - asked[e])
#endif

proctype Holder(byte e) {
  if
  :: e == 1
  :: e > 1 ->
     atomic { /* step TAKE: put-if-absent of the next lease object */
       highest == e - 1 -> highest = e; waited[e] = 1 };
     atomic { /* step WAIT: by its own clock, from when the object was there */
       PASSED(waited[e] - 1) -> waited[e] = 0 };
     skip     /* step ACT: its processes may begin to check */
  fi;
  do
  :: atomic { /* step CHECK: begins; the right to act will count from here */
       asked[e] == 0 -> asked[e] = 1 }
  :: atomic { /* step CHECK: the store reads the next lease object */
       asked[e] > 0 && !answer[e] -> absent[e] = (highest == e); answer[e] = true }
  :: atomic { /* step CHECK: the answer arrives */
       answer[e] ->
       if
#ifdef NO_CHECK
       :: true -> EXTEND      /* a renewal that was acknowledged, whatever else is there */
#else
       :: absent[e] -> EXTEND
       :: !absent[e]
#endif
       fi;
       asked[e] = 0; answer[e] = false; absent[e] = false }
  :: atomic { /* step MAY_SEND: the right to act has not lapsed; the host's time begins */
       left[e] > 0 && onway[e] == 0 -> onway[e] = CARRIED + 1 }
  :: atomic { /* step HAND_OVER: the host starts it, or the process gave up */
       onway[e] > 0 ->
#ifdef P3
       assert(started <= e);
#endif
#ifdef REACH
       assert(e < EPOCHS);
#endif
       started = (started > e -> started : e); onway[e] = 0 }
  od
}

/* world: time passes, for each clock at its own rate */
proctype Time() {
  byte i, by;
  do
  :: atomic {
       i = 1;
       do
       :: i <= EPOCHS ->
          if :: by = SLOW :: by = FAST fi;      /* the clock of the holder */
          left[i] = LESS(left[i], by);
          if
          :: waited[i] > 0 && waited[i] + by <= LONGEST -> waited[i] = waited[i] + by
          :: waited[i] > 0 && waited[i] + by > LONGEST -> waited[i] = LONGEST
          :: waited[i] == 0
          fi;
          if
          :: asked[i] > 0 && asked[i] + by > TTL + 1 ->     /* too late to be of use */
             asked[i] = 0; answer[i] = false; absent[i] = false
          :: asked[i] > 0 && asked[i] + by <= TTL + 1 -> asked[i] = asked[i] + by
          :: asked[i] == 0
          fi;
#ifndef NO_LATE_REFUSAL
          if :: by = SLOW :: by = FAST fi;      /* the clock of its host */
          onway[i] = LESS(onway[i], by);
#endif
          i++
       :: i > EPOCHS -> break
       od;
       i = 0; by = 0 }
  od
}

init { atomic { run Holder(1); run Holder(2); run Holder(3); run Time() } }
