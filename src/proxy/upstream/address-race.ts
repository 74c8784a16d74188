import type { Clock } from "../../base/index.ts";
import { ipFamilyOf, type ByteStream } from "../../net/index.ts";

/**
 * After this time without success, the next address is tried too. This is Envoy's value, and RFC 8305 section 5 allows
 * it.
 */
export const attemptDelayMs = 300;

export interface AddressRaceOptions {
  /** The addresses, at least one, in the order in which they are tried within a family. */
  readonly addresses: readonly string[];
  /** Opens a connection to one address. Must reject when the signal aborts, or when `timeoutMs` is over. */
  readonly connect: (address: string, timeoutMs: number, signal: AbortSignal) => Promise<ByteStream>;
  /** The time limit for all attempts together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * Connects to whichever address of a name answers first ("Happy Eyeballs", RFC 8305). The next address is tried when an
 * attempt fails, or after {@link attemptDelayMs}. The order alternates between the families. Rejects with the last
 * attempt's error when all have failed. Connections that come too late are closed.
 */
export function connectFirst(options: AddressRaceOptions): Promise<ByteStream> {
  const { connect, timeoutMs, clock } = options;
  const addresses = inTurnsByFamily(options.addresses);
  const startedAtMs = clock.steadyMs();
  const losers = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<ByteStream>();
  let next = 0;
  let failed = 0;
  let isWon = false;
  let delay: Disposable | undefined;
  const attempt = (): void => {
    delay?.[Symbol.dispose]();
    const address = addresses[next];
    if (address === undefined) return;
    next += 1;
    if (next < addresses.length) delay = clock.after(attemptDelayMs, attempt);
    const leftMs = Math.max(1, timeoutMs - (clock.steadyMs() - startedAtMs));
    connect(address, leftMs, losers.signal).then(
      (stream) => {
        if (isWon) return stream.destroy();
        isWon = true;
        delay?.[Symbol.dispose]();
        resolve(stream);
        losers.abort();
      },
      (error: unknown) => {
        if (isWon) return;
        failed += 1;
        if (failed === addresses.length) reject(error);
        else attempt();
      },
    );
  };
  attempt();
  return promise;
}

/** RFC 8305 section 4: the order begins with the family of the first address. */
function inTurnsByFamily(addresses: readonly string[]): readonly string[] {
  const first = addresses[0];
  if (first === undefined) throw new RangeError("a race needs an address");
  const family = ipFamilyOf(first);
  const preferred = addresses.filter((address) => ipFamilyOf(address) === family);
  const others = addresses.filter((address) => ipFamilyOf(address) !== family);
  return Array.from({ length: Math.max(preferred.length, others.length) }).flatMap((_, turn) =>
    [preferred[turn], others[turn]].filter((address) => address !== undefined),
  );
}
