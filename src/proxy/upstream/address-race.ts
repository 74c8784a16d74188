import type { Clock } from "../../base/index.ts";
import { ipFamilyOf, type ByteStream } from "../../net/index.ts";

/**
 * How long an attempt may take before the next address is tried too, in milliseconds. It is Envoy's value, which RFC
 * 8305 section 5 allows.
 */
export const attemptDelayMs = 300;

export interface AddressRaceOptions {
  /** The addresses, at least one. Within a family, they are tried in this order. */
  readonly addresses: readonly string[];
  /** Opens a connection to one address. Must reject when the signal aborts, or when `timeoutMs` is over. */
  readonly connect: (address: string, timeoutMs: number, signal: AbortSignal) => Promise<ByteStream>;
  /** The time limit for all attempts together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * Connects to whichever address of a name answers first ("Happy Eyeballs", RFC 8305). The next address is tried when an
 * attempt fails, or after {@link attemptDelayMs}. The families alternate. If all attempts fail, rejects with the error
 * of the last one. Connections that open too late are closed.
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

/**
 * Orders the addresses so that the families alternate, beginning with the family of the first address (RFC 8305 section
 * 4).
 */
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
