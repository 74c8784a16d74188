import type { Clock } from "../../base/index.ts";
import { isHostProcessAlive, type HostProcess } from "../record/index.ts";

const lookEveryMs = 500;

/**
 * Calls `onEnd` once the owner process has ended, in whatever way. Checks twice a second, because Linux reports the end
 * of a process only to its parent. Without an owner, never calls. Disposing the result ends the watch.
 */
export function watchOwner(owner: HostProcess | undefined, clock: Pick<Clock, "after">, onEnd: () => void): Disposable {
  if (owner === undefined) return { [Symbol.dispose]: () => undefined };
  let timer: Disposable | undefined;
  const look = (): void => {
    if (isHostProcessAlive(owner)) timer = clock.after(lookEveryMs, look);
    else onEnd();
  };
  timer = clock.after(0, look);
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() };
}
