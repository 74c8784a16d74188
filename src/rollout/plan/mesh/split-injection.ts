import type { LabelSelector, UntypedObject } from "../../../api/index.ts";
import type { MeshUpgrade, ObjectReference } from "../../../api/serin/index.ts";
import type { Step, Write } from "../../decide/index.ts";
import { reference, referenceTo } from "../references.ts";
import type { InjectorInWorld, MeshWorld } from "./mesh-world.ts";
import { namesOf } from "./ztunnel-steps.ts";
import { revisionLabel } from "./sidecar-steps.ts";
import type { PlannedWave } from "./waves.ts";

const admission = "admissionregistration.k8s.io/v1";
const kind = "MutatingWebhookConfiguration";
const selectorPointer = "/webhooks/0/namespaceSelector";

/**
 * Lets single workloads of a labelled namespace move. The namespace's label overrides a pod's label, so such a workload
 * could not choose another revision. During the upgrade, the old revision's webhooks skip pods that name the new
 * revision, and a webhook of the engine sends these pods to the new revision's injector.
 */
export function splitInjectionSteps({ spec }: MeshUpgrade, world: MeshWorld, waves: readonly PlannedWave[]): Step[] {
  const split = waves.flatMap(({ namespaces }) =>
    namespaces.filter(({ isWhole, injection }) => !isWhole && injection !== undefined),
  );
  if (split.length === 0) return [];
  const namespaces = [...new Set(split.map(({ name }) => name))].toSorted();
  const body = injector(spec.to.revision, namespaces, world.newInjector);
  return [
    {
      id: "split-injection",
      title: `let single workloads of ${namesOf(namespaces.map((name) => ({ name })))} choose ${spec.to.revision}`,
      writes: [
        { type: "create", body, object: referenceTo(body) },
        // An earlier upgrade of other waves may have left a webhook configuration with this name.
        { type: "field", object: referenceTo(body), pointer: selectorPointer, value: selectorOf(namespaces) },
        ...world.injectors.map((injector) => selectorWrite(injector, spec.to.revision)),
      ],
      settle: [],
      checks: [],
      namespaces,
    },
  ];
}

/** The engine's webhook, which exists only during the upgrade. */
export function splitInjector(revision: string): ObjectReference {
  return reference(admission, kind, `serin-rollout-${revision}`);
}

/** Restores the selectors of the webhooks, before the tags point to the new revision. */
export function unsplitWrites({ injectors }: MeshWorld, waves: readonly PlannedWave[]): Write[] {
  if (!waves.some(({ namespaces }) => namespaces.some(({ isWhole, injection }) => !isWhole && injection !== undefined)))
    return [];
  return injectors.map(({ object, index, objectSelector }) => ({
    type: "field",
    object,
    pointer: `/webhooks/${index}/objectSelector`,
    value: objectSelector,
  }));
}

function selectorOf(namespaces: readonly string[]): LabelSelector {
  return { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: [...namespaces] }] };
}

function selectorWrite({ object, index, objectSelector }: InjectorInWorld, revision: string): Write {
  const value = {
    ...objectSelector,
    matchExpressions: [
      ...(objectSelector.matchExpressions ?? []),
      { key: revisionLabel, operator: "NotIn", values: [revision] },
    ],
  };
  return { type: "field", object, pointer: `/webhooks/${index}/objectSelector`, value };
}

function injector(
  revision: string,
  namespaces: readonly string[],
  clientConfig: Readonly<Record<string, unknown>> | undefined,
): UntypedObject {
  return {
    apiVersion: admission,
    kind,
    metadata: { name: splitInjector(revision).name, labels: { [revisionLabel]: revision } },
    webhooks: [
      {
        name: "workload.rollout.serin.dev",
        clientConfig: clientConfig ?? {},
        rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
        failurePolicy: "Fail",
        sideEffects: "None",
        reinvocationPolicy: "Never",
        admissionReviewVersions: ["v1"],
        namespaceSelector: selectorOf(namespaces),
        objectSelector: {
          matchExpressions: [
            { key: revisionLabel, operator: "In", values: [revision] },
            { key: "sidecar.istio.io/inject", operator: "NotIn", values: ["false"] },
          ],
        },
      },
    ],
  };
}
