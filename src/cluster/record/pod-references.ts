import type { Pod } from "../../api/kubernetes/index.ts";

/** The kinds of objects to which a pod may refer by name, and which its node reads for it. */
export type ReferencedKind = "configMap" | "persistentVolumeClaim" | "secret";

/**
 * The names of the objects to which the pod's variables and volumes refer. They are in the pod's namespace. A node may
 * read these objects and no others. `imagePullSecrets` are not among them, because the lab pulls no images.
 */
export function podReferences(pod: Pod): Readonly<Record<ReferencedKind, ReadonlySet<string>>> {
  const names = {
    configMap: new Set<string>(),
    persistentVolumeClaim: new Set<string>(),
    secret: new Set<string>(),
  };
  const add = (kind: ReferencedKind, name: string | undefined): void => {
    if (name !== undefined && name !== "") names[kind].add(name);
  };
  const { containers = [], initContainers = [], ephemeralContainers = [], volumes = [] } = pod.spec ?? {};
  for (const { env = [], envFrom = [] } of [...initContainers, ...containers, ...ephemeralContainers]) {
    for (const { valueFrom } of env) {
      add("configMap", valueFrom?.configMapKeyRef?.name);
      add("secret", valueFrom?.secretKeyRef?.name);
    }
    for (const { configMapRef, secretRef } of envFrom) {
      add("configMap", configMapRef?.name);
      add("secret", secretRef?.name);
    }
  }
  for (const volume of volumes) {
    add("persistentVolumeClaim", volume.persistentVolumeClaim?.claimName);
    add("configMap", volume.configMap?.name);
    add("secret", volume.secret?.secretName);
    for (const source of volume.projected?.sources ?? []) {
      add("configMap", source.configMap?.name);
      add("secret", source.secret?.name);
    }
  }
  return names;
}
