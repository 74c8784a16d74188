/** A mark in shared memory by which one thread tells another, which stands still, that its answer has arrived. */
export type AnswerMark = Int32Array<SharedArrayBuffer>;

const waiting = 0;
const arrived = 1;

export function makeAnswerMark(): AnswerMark {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** Sets the mark, and wakes the thread that waits for it. */
export function setMark(mark: AnswerMark): void {
  Atomics.store(mark, 0, arrived);
  Atomics.notify(mark, 0);
}

/**
 * Blocks this thread until the mark is set, and then clears it. A waking thread looks at the mark again: the other
 * thread may have paused between its store and its notification, so that this thread saw the mark without waiting, and
 * the late notification wakes its next wait.
 */
export function awaitMark(mark: AnswerMark): void {
  while (Atomics.compareExchange(mark, 0, arrived, waiting) !== arrived) Atomics.wait(mark, 0, waiting);
}
