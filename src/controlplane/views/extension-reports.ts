import type { Logger } from "../../base/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { Collection } from "../../kube/index.ts";
import { translatedName, type ExtensionInputs } from "../model/index.ts";
import type { PatchFault } from "../translate/index.ts";

/** The maximum number of faults. More would not help a reader. */
const maxFaults = 1000;

/**
 * Reports each patch that could not be applied, and each plugin that our own proxies do not run, in the log and in
 * upstream's metric. Each is reported once, until its object changes.
 */
export class ExtensionReports {
  readonly #reported = new Map<string, Set<string>>();
  readonly #status: ReturnType<MetricsRegistry["gauge"]>;
  readonly #log: Logger;
  #faults = 0;

  constructor(
    metrics: MetricsRegistry,
    log: Logger,
    {
      envoyFilters,
      wasmPlugins,
      trafficExtensions,
    }: Pick<ExtensionInputs, "envoyFilters" | "wasmPlugins" | "trafficExtensions">,
  ) {
    this.#status = metrics.gauge(
      "pilot_envoy_filter_status",
      "Status of Envoy filters whether it was applied or errored.",
      ["name", "patch", "result"],
    );
    this.#log = log;
    const forgetBy = (collection: Collection<unknown>, nameOf: (key: string) => string = (key) => key): void => {
      collection.subscribe((changes) => {
        for (const { key } of changes) this.#forget(nameOf(key));
      });
    };
    forgetBy(envoyFilters);
    forgetBy(wasmPlugins, translatedName);
    forgetBy(trafficExtensions);
  }

  failed({ filter, field, fault }: PatchFault): void {
    const reported = this.#reported.get(filter) ?? new Set<string>();
    const text = `${field}: ${fault}`;
    if (reported.has(text) || this.#faults >= maxFaults) return;
    reported.add(text);
    this.#faults += 1;
    this.#reported.set(filter, reported);
    this.#status.labels(filter, patchOf(field), "error").set(1);
    this.#log.warn("an extension of proxies is not applied", { object: filter, part: field, fault });
  }

  #forget(filter: string): void {
    const reported = this.#reported.get(filter);
    if (reported === undefined) return;
    this.#reported.delete(filter);
    this.#faults -= reported.size;
    for (const text of reported) this.#status.labels(filter, patchOf(text), "error").set(0);
  }
}

/** The first word of the text: the place to which the patch applies, or the field. */
function patchOf(text: string): string {
  return text.split(/[ :]/, 1)[0]?.toLowerCase() ?? "";
}
