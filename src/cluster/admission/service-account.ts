import { isMirrorPod, type UntypedObject } from "../../api/index.ts";
import type { Random } from "../../base/index.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { forbidden, type AdmissionRequest } from "./request.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { podReferences } from "../record/pod-references.ts";
import { cloneJson } from "../schema/json.ts";

const tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const tokenSeconds = 3607;
const letters = "bcdfghjklmnpqrstvwxz2456789";

interface Container {
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
}

interface PodSpec {
  serviceAccountName?: string;
  serviceAccount?: string;
  automountServiceAccountToken?: boolean;
  imagePullSecrets?: unknown[];
  volumes?: { name: string }[];
  containers?: Container[];
  initContainers?: Container[];
}

/**
 * Gives each new pod its service account, and the account's token as a projected volume, mounted into each container
 * that does not mount one itself.
 */
export function serviceAccountAdmission({
  store,
  random,
}: {
  readonly store: Store;
  readonly random: Random;
}): AdmissionPlugin {
  return {
    name: "ServiceAccount",
    mutate(request) {
      const { operation, type, subresource, object } = request;
      if (operation !== "CREATE" || type.storageKey !== "/pods" || subresource !== "" || object === undefined) return;
      if (isMirrorPod(object)) return checkMirrorPod(request, object);
      const spec = (object["spec"] ??= {}) as PodSpec;
      spec.serviceAccountName ||= spec.serviceAccount || "default";
      spec.serviceAccount = spec.serviceAccountName;
      const account = store.get("/serviceaccounts", request.namespace, spec.serviceAccountName);
      if (account === undefined)
        throw forbidden(
          request,
          `error looking up service account ${request.namespace}/${spec.serviceAccountName}: serviceaccount "${spec.serviceAccountName}" not found`,
        );
      const accountFields = account.object as UntypedObject & {
        automountServiceAccountToken?: boolean;
        imagePullSecrets?: unknown[];
      };
      if ((spec.imagePullSecrets ?? []).length === 0 && (accountFields.imagePullSecrets ?? []).length > 0)
        spec.imagePullSecrets = cloneJson(accountFields.imagePullSecrets ?? []);
      if (spec.automountServiceAccountToken ?? accountFields.automountServiceAccountToken ?? true)
        mountToken(spec, random);
    },
  };
}

/**
 * Checks a mirror pod. It may have no rights and no Secrets, because it only shows a pod that its node runs without the
 * API server.
 */
function checkMirrorPod(request: AdmissionRequest, object: UntypedObject): void {
  const pod = object as unknown as Pod;
  if ((pod.spec?.serviceAccountName ?? "") !== "")
    throw forbidden(request, "a mirror pod may not reference service accounts");
  const pullsBySecret = ((object["spec"] as PodSpec | undefined)?.imagePullSecrets ?? []).length > 0;
  if (podReferences(pod).secret.size > 0 || pullsBySecret)
    throw forbidden(request, "a mirror pod may not reference secrets");
  const sources = (pod.spec?.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  if (sources.some((source) => source.serviceAccountToken !== undefined))
    throw forbidden(request, "a mirror pod may not use ServiceAccountToken volume projections");
}

function mountToken(spec: PodSpec, random: Random): void {
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const without = containers.filter((container) =>
    (container.volumeMounts ?? []).every((mount) => mount.mountPath !== tokenMountPath),
  );
  if (without.length === 0) return;
  let suffix = "";
  for (let index = 0; index < 5; index++) suffix += letters[Math.floor(random() * letters.length)] ?? "b";
  const name =
    spec.volumes?.find((volume) => volume.name.startsWith("kube-api-access-"))?.name ?? `kube-api-access-${suffix}`;
  for (const container of without)
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: tokenMountPath }];
  if (spec.volumes?.some((volume) => volume.name === name) !== true)
    spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
}

function tokenVolume(name: string): { name: string } {
  const volume = {
    name,
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  };
  return volume;
}
