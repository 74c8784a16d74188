import type { EncodedResource } from "../../translate/index.ts";
import type { ResourceView } from "./resource-view.ts";

/**
 * Whether the proxy may have a resource with this name. Undefined until the API server has answered, which then calls
 * `learned`.
 */
export type Permission = (name: string, learned: (allowed: boolean) => void) => boolean | undefined;

/**
 * The maximum number of names that wait for a permission or have been refused one. Refused names are checked again when
 * another name is requested.
 */
const maxHeldBack = 1000;

/** The permission is the same for all secrets of a namespace, so the check may use any name. */
const anySecret = "kubernetes://";

export class PermittedView implements ResourceView {
  readonly #view: ResourceView;
  readonly #permission: Permission;
  readonly #heldBack = new Set<string>();
  #isAsking = false;
  readonly #listeners = new Set<(names: readonly string[]) => void>();

  constructor(view: ResourceView, permission: Permission) {
    this.#view = view;
    this.#permission = permission;
  }

  /** Whether the permission is known. Until then, the view does not answer, because "there is none" might be wrong. */
  known(): boolean {
    if (this.#isAsking || this.#view.known?.() === false) return false;
    const answer = this.#permission(anySecret, () => {
      this.#isAsking = false;
      for (const listener of this.#listeners) listener([]);
    });
    this.#isAsking = answer === undefined;
    return answer !== undefined;
  }

  get(name: string): EncodedResource | undefined {
    const found = this.#view.get(name);
    if (found === undefined) return undefined;
    const permitted = this.#permission(name, (allowed) => this.#learned(name, allowed));
    if (permitted === true) {
      this.#heldBack.delete(name);
      return found;
    }
    if (this.#heldBack.size < maxHeldBack) this.#heldBack.add(name);
    return undefined;
  }

  all(): Iterable<EncodedResource> {
    return [...this.#view.all()].filter(({ name }) => this.get(name) !== undefined);
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    this.#listeners.add(changed);
    const subscription = this.#view.subscribe(changed);
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(changed);
        subscription[Symbol.dispose]();
      },
    };
  }

  forget(name: string): void {
    this.#heldBack.delete(name);
    this.#view.forget?.(name);
  }

  /**
   * Notifies the listeners if a resource that was held back is now allowed, or one that was delivered is now forbidden.
   */
  #learned(name: string, allowed: boolean): void {
    if (allowed !== this.#heldBack.has(name)) return;
    for (const listener of this.#listeners) listener([name]);
  }
}
