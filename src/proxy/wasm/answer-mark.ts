/** A mark in shared memory by which one thread tells another, which stands still, that its answer has arrived. */
export type AnswerMark = Int32Array<SharedArrayBuffer>;

const waiting = 0;
const arrived = 1;

export function makeAnswerMark(): AnswerMark {
  return new Int32Array(new SharedArrayBuffer(4));
}

export function setMark(mark: AnswerMark): void {
  Atomics.store(mark, 0, arrived);
  Atomics.notify(mark, 0);
}

/**
 * Blocks this thread until the mark is set, and then clears it. A thread that wakes checks the mark again, because a
 * notification may be late: if the other thread pauses between its store and its notification, this thread sees the
 * mark without waiting, and the notification then interrupts its next wait.
 */
export function awaitMark(mark: AnswerMark): void {
  while (Atomics.compareExchange(mark, 0, arrived, waiting) !== arrived) Atomics.wait(mark, 0, waiting);
}
