import type { Collection, CollectionIndex, CollectionReader } from "../../kube/index.ts";
import { PolicySelection, type PolicySubject } from "./authorization-selection.ts";
import { byAge, type TelemetryFacts } from "./facts.ts";
import { hasSelector } from "./selection.ts";

/** Finds the Telemetry of a subject, by indexes: a change of others is not seen. */
export class TelemetrySelection {
  readonly #selection: PolicySelection<TelemetryFacts>;
  readonly #wide: CollectionIndex<TelemetryFacts>;

  constructor(telemetries: Collection<TelemetryFacts>) {
    this.#selection = new PolicySelection(telemetries);
    this.#wide = telemetries.index("telemetry-wide", (telemetry) => (isNarrow(telemetry) ? [] : [telemetry.namespace]));
  }

  /**
   * From the widest to the narrowest: the oldest of the root namespace, of the subject's and of its services' that is for all of it, then
   * every one of the subject's or its services' namespaces that names the subject, the older first.
   */
  levelsOf(subject: PolicySubject, rootNamespace: string, reader: CollectionReader): readonly TelemetryFacts[] {
    const services = (subject.services ?? []).map((service) => service.namespace);
    const own = new Set([subject.namespace, ...services]);
    const wide = [...new Set([rootNamespace, ...own])].flatMap((namespace) =>
      reader.lookup(this.#wide, namespace).toSorted(byAge).slice(0, 1),
    );
    const narrow = this.#selection
      .attachedTo(subject, rootNamespace, reader)
      .filter((telemetry) => isNarrow(telemetry) && own.has(telemetry.namespace));
    return [...wide, ...narrow];
  }
}

function isNarrow(telemetry: TelemetryFacts): boolean {
  return telemetry.spec.targetRefs.length > 0 || hasSelector(telemetry);
}
