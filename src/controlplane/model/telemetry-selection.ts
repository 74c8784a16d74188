import type { Collection, CollectionIndex, CollectionReader } from "../../kube/index.ts";
import { PolicySelection, type PolicySubject } from "./authorization-selection.ts";
import { byAge, type TelemetryFacts } from "./facts.ts";
import { hasSelector } from "./selection.ts";

/** Selects the Telemetry objects of a subject by indexes, so that changes of other objects have no effect. */
export class TelemetrySelection {
  readonly #selection: PolicySelection<TelemetryFacts>;
  readonly #wide: CollectionIndex<TelemetryFacts>;

  constructor(telemetries: Collection<TelemetryFacts>) {
    this.#selection = new PolicySelection(telemetries);
    this.#wide = telemetries.index("telemetry-wide", (telemetry) => (isNarrow(telemetry) ? [] : [telemetry.namespace]));
  }

  /**
   * The objects for a subject, from the widest to the narrowest. First come the oldest namespace-wide objects of the
   * root namespace, of the subject's namespace and of its services' namespaces. Then come the objects in the namespaces
   * of the subject and its services that name the subject or a service, oldest first.
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
