import type { Clock } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";

export interface CutOffTimes {
  /** How long the peer may take to close the stream after our end. */
  readonly graceMs: number;
  /** How much longer a slow peer may take while bytes that we wrote before our end still wait. */
  readonly flushMs: number;
}

/** Closes a stream that we have ended, unless the peer closes it in time. Disposing the result cancels the timer. */
export function cutOffLater(
  stream: Pick<ByteStream, "bufferedBytes" | "destroy">,
  clock: Pick<Clock, "after">,
  { graceMs, flushMs }: CutOffTimes,
): Disposable {
  let timer: Disposable;
  const wait = (leftMs: number): void => {
    timer = clock.after(graceMs, () => {
      if (leftMs > 0 && stream.bufferedBytes > 0) wait(leftMs - graceMs);
      else stream.destroy();
    });
  };
  wait(flushMs);
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
