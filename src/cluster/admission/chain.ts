import type { AdmissionRequest } from "./request.ts";

/** One admission plugin of the server's own. */
export interface AdmissionPlugin {
  readonly name: string;
  mutate?(request: AdmissionRequest): void | Promise<void>;
  /** Throws {@link AdmissionRefusal}. */
  validate?(request: AdmissionRequest): void | Promise<void>;
}

/** All plugins in their order: first everything that mutates, later everything that only judges. */
export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];

  constructor(plugins: readonly AdmissionPlugin[]) {
    this.#plugins = plugins;
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) await plugin.mutate?.(request);
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) await plugin.validate?.(request);
  }
}
