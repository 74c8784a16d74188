import type { Clock } from "../../base/index.ts";

export interface HeldKeysOptions {
  readonly clock: Clock;
  /** How long a key is kept after its last holder has left. */
  readonly lingerMs: number;
  /** The maximum number of keys without a holder. The oldest ones are forgotten first. */
  readonly maxLingering: number;
  /** The maximum total length of the keys without a holder. */
  readonly maxLingeringCharacters: number;
  readonly forgotten: (key: string) => void;
}

/** Keys that exist as long as somebody holds them, and for some time afterwards, because proxies reconnect. */
export class HeldKeys<Holder> {
  readonly #options: HeldKeysOptions;
  readonly #holders = new Map<string, Set<Holder>>();
  /** Keys without holders, with the timer that forgets them. The oldest comes first. */
  readonly #lingering = new Map<string, Disposable>();
  #lingeringCharacters = 0;

  constructor(options: HeldKeysOptions) {
    this.#options = options;
  }

  holdersOf(key: string): Iterable<Holder> {
    return this.#holders.get(key) ?? [];
  }

  /** Records that the holder uses the key. Returns whether the key is new. */
  hold(key: string, holder: Holder): boolean {
    this.#stopLingering(key);
    const holders = this.#holders.get(key);
    if (holders === undefined) this.#holders.set(key, new Set([holder]));
    else holders.add(holder);
    return holders === undefined;
  }

  /** Adds a key that somebody will probably hold soon. Returns whether it is new. */
  expect(key: string): boolean {
    if (this.#holders.has(key)) return false;
    this.#holders.set(key, new Set());
    this.#linger(key);
    return true;
  }

  release(key: string, holder: Holder): void {
    const holders = this.#holders.get(key);
    if (holders?.delete(holder) === true && holders.size === 0) this.#linger(key);
  }

  #linger(key: string): void {
    const { clock, lingerMs, maxLingering, maxLingeringCharacters } = this.#options;
    this.#stopLingering(key);
    this.#lingering.set(
      key,
      clock.after(lingerMs, () => this.#forget(key)),
    );
    this.#lingeringCharacters += key.length;
    for (const oldest of this.#lingering.keys()) {
      if (this.#lingering.size <= maxLingering && this.#lingeringCharacters <= maxLingeringCharacters) break;
      this.#forget(oldest);
    }
  }

  #stopLingering(key: string): void {
    const lingering = this.#lingering.get(key);
    if (lingering === undefined) return;
    lingering[Symbol.dispose]();
    this.#lingering.delete(key);
    this.#lingeringCharacters -= key.length;
  }

  #forget(key: string): void {
    this.#stopLingering(key);
    this.#holders.delete(key);
    this.#options.forgotten(key);
  }
}
