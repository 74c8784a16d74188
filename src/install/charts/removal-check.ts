import type { UntypedObject } from "../../api/index.ts";

/**
 * The finalizer of rollouts that can be undone. It is a copy, because this part may not import the rollout engine's
 * kinds.
 */
const undoFinalizer = "rollout.serin.dev/undo";
/** The time limit of the Job. It is longer than a pod needs to start from an image that its node already has. */
const deadlineSeconds = 120;

interface EngineDeployment {
  readonly metadata: UntypedObject["metadata"];
  readonly spec: {
    readonly template: {
      readonly metadata: UntypedObject["metadata"];
      readonly spec: Readonly<Record<string, unknown>> & { readonly containers: readonly Record<string, unknown>[] };
    };
  };
}

/**
 * How long the ended Job and its log stay. The limit matters if the chart is applied without Helm: the Job is then an
 * ordinary Job, and while it exists, the API server would refuse a changed Job of the next release.
 */
const keptSeconds = 3600;

/**
 * A Job that Helm runs before it removes the release. It fails while rollouts need the engine, and then Helm removes
 * nothing. By default, its pod prefers nodes that run the engine.
 */
export function removalCheck(objects: readonly UntypedObject[], affinity: object = nearEngine): UntypedObject {
  const engine = objects.find(({ kind }) => kind === "Deployment") as unknown as EngineDeployment;
  const { template } = engine.spec;
  const [container = {}] = template.spec.containers;
  const { ports: _ports, readinessProbe: _probe, env: _env, ...program } = container;
  const { app: _app, ...labels } = template.metadata.labels ?? {};
  const { namespace, labels: own = {} } = engine.metadata;
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: "serin-rollout-removal",
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...own, app: "serin-rollout-removal" },
      annotations: {
        "helm.sh/hook": "pre-delete",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        "helm.sh/hook-output-log-policy": "hook-failed",
      },
    },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: keptSeconds,
      activeDeadlineSeconds: deadlineSeconds,
      template: {
        metadata: { labels: { ...labels, app: "serin-rollout-removal" } },
        spec: {
          ...template.spec,
          restartPolicy: "Never",
          affinity,
          containers: [{ ...program, name: "check", args: ["rollout", "removal"] }],
        },
      },
    },
  };
}

/** Prefers a node that runs the engine, because that node has the image. */
export const nearEngine = {
  podAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: {
          topologyKey: "kubernetes.io/hostname",
          labelSelector: { matchLabels: { app: "serin-rollout" } },
        },
      },
    ],
  },
};

/**
 * Makes an upgrade fail that would remove the engine while rollouts need it. This does not cover an uninstallation, for
 * which Helm renders nothing.
 */
export const refusedRemoval = [
  '{{- if and .Release.IsUpgrade (ne (toString $v.rollout.force) "true") }}',
  '{{- range $kind := list "Canary" "MeshUpgrade" }}',
  '{{- if $.Capabilities.APIVersions.Has (printf "rollout.serin.dev/v1alpha1/%s" $kind) }}',
  '{{- range (lookup "rollout.serin.dev/v1alpha1" $kind "" "").items }}',
  `{{- if has "${undoFinalizer}" (.metadata.finalizers | default list) }}`,
  '{{- fail (printf "rollout.enabled: must stay true while rollouts need their engine, which alone can undo them and let them be deleted: %s %s. Delete it first, and wait until it is gone, or set rollout.force=true" $kind (trimPrefix "/" (printf "%s/%s" (.metadata.namespace | default "") .metadata.name))) }}',
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
  "{{- end }}",
].join("\n");
