import { typeUrls } from "../../../wire/xds/index.ts";
import type { EncodedResource, ExtensionProgram } from "../../translate/index.ts";
import type { ResourceView } from "./resource-view.ts";

export class ExtendedView implements ResourceView {
  readonly known = (): boolean => this.#inner.known?.() ?? true;
  readonly #inner: ResourceView;
  readonly #typeUrl: string;
  readonly #program: ExtensionProgram;

  constructor(inner: ResourceView, typeUrl: string, program: ExtensionProgram) {
    this.#inner = inner;
    this.#typeUrl = typeUrl;
    this.#program = program;
  }

  get(name: string): EncodedResource | undefined {
    const found = this.#inner.get(name);
    const changed = found === undefined ? undefined : this.#program.apply(this.#typeUrl, found);
    return changed ?? this.#program.added(this.#typeUrl).find((added) => added.name === name);
  }

  *all(): Iterable<EncodedResource> {
    const seen = new Set<string>();
    for (const resource of this.#inner.all()) {
      const changed = this.#program.apply(this.#typeUrl, resource);
      if (changed === undefined) continue;
      seen.add(changed.name);
      yield changed;
    }
    for (const added of this.#program.added(this.#typeUrl)) {
      if (seen.has(added.name)) continue;
      seen.add(added.name);
      yield added;
    }
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return this.#inner.subscribe(changed);
  }
}

/**
 * The configurations that filters name. A waypoint gets one that is only for some services only if it serves one of
 * them.
 */
export class ExtensionConfigView implements ResourceView {
  readonly #program: ExtensionProgram;
  readonly #listeners: ResourceView;

  constructor(program: ExtensionProgram, listeners: ResourceView) {
    this.#program = program;
    this.#listeners = listeners;
  }

  get(name: string): EncodedResource | undefined {
    const found = this.#program.added(typeUrls.extensionConfig).find((added) => added.name === name);
    return found === undefined || (this.#program.isOfServices(name) && !this.#isUsed(name)) ? undefined : found;
  }

  *all(): Iterable<EncodedResource> {
    for (const added of this.#program.added(typeUrls.extensionConfig)) {
      const found = this.get(added.name);
      if (found !== undefined) yield found;
    }
  }

  subscribe(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  #isUsed(name: string): boolean {
    for (const listener of this.#listeners.all()) if (this.#program.usedBy(listener).includes(name)) return true;
    return false;
  }
}
