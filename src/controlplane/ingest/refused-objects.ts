import type { KindDefinition } from "../../api/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";

export interface RefusedObject {
  readonly kind: KindDefinition;
  /** The object's `namespace/name`. */
  readonly key: string;
  /** The faults, one line for each field. */
  readonly faults: string;
  /** Whether the object is used, except for the faulty fields. */
  readonly isCorrected: boolean;
}

/** The objects whose current version is invalid, as a whole or in some fields, or exceeds a limit. */
export class RefusedObjects {
  readonly #objects = new Map<string, RefusedObject>();
  readonly #limits = new Map<string, RefusedObject>();
  readonly #counts = new Map<string, number>();
  readonly #listeners = new Set<(id: string) => void>();
  readonly #gauge: ReturnType<MetricsRegistry["gauge"]> | undefined;

  constructor(metrics: MetricsRegistry | undefined) {
    this.#gauge = metrics?.gauge(
      "pilot_k8s_object_errors",
      "Objects whose current version is not valid. Their status says what is in force.",
      ["name"],
    );
  }

  /** Sets the faults of an object, or undefined if it is valid or deleted. */
  set(kind: KindDefinition, key: string, faults: string | undefined, isCorrected = false): void {
    const id = refusedId(kind, key);
    const known = this.#objects.get(id);
    if (known?.faults === faults && known?.isCorrected === (faults === undefined ? undefined : isCorrected)) return;
    if (faults === undefined) this.#objects.delete(id);
    else this.#objects.set(id, { kind, key, faults, isCorrected });
    if ((known === undefined) !== (faults === undefined)) this.#count(kind.kind, faults === undefined ? -1 : 1);
    for (const listener of this.#listeners) listener(id);
  }

  /** Sets what the limits of a proxy leave out of a valid object. Undefined means nothing. */
  setLimit(kind: KindDefinition, key: string, message: string | undefined): void {
    const id = refusedId(kind, key);
    if (this.#limits.get(id)?.faults === message) return;
    if (message === undefined) this.#limits.delete(id);
    else this.#limits.set(id, { kind, key, faults: message, isCorrected: true });
    for (const listener of this.#listeners) listener(id);
  }

  /** The faults of an object and, unless it is refused as a whole, what limits leave out of it. */
  get(id: string): RefusedObject | undefined {
    const refused = this.#objects.get(id);
    const limited = this.#limits.get(id);
    return refused?.isCorrected === true && limited !== undefined
      ? { ...refused, faults: `${refused.faults}\n${limited.faults}` }
      : (refused ?? limited);
  }

  ids(): Iterable<string> {
    return new Set([...this.#objects.keys(), ...this.#limits.keys()]);
  }

  /** Calls the listener with the id of an object whose faults, or whose parts beyond a limit, have changed. */
  onChange(listener: (id: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #count(kind: string, change: number): void {
    const count = (this.#counts.get(kind) ?? 0) + change;
    this.#counts.set(kind, count);
    this.#gauge?.labels(kind).set(count);
  }
}

/** The id of a refused object, for example `networking.istio.io/VirtualService shop/web`. */
export function refusedId({ group, kind }: Pick<KindDefinition, "group" | "kind">, key: string): string {
  return `${group}/${kind} ${key}`;
}
