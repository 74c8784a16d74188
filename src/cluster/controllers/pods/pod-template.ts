import { ownerReference } from "../../../kube/index.ts";
import type { KindDefinition, KubernetesObject } from "../../../api/index.ts";
import type { Pod, PodTemplate } from "../../../api/kubernetes/index.ts";
import { canonicalJson, type Random } from "../../../base/index.ts";

/** The characters of generated names in Kubernetes. There are no vowels among them, so that no words appear. */
const nameLetters = "bcdfghjklmnpqrstvwxz2456789";

/**
 * A hash of the content as a short name suffix. Equal templates have equal hashes, whatever the order of their keys.
 */
export function templateHash(template: unknown, collisionCount = 0): string {
  const text = canonicalJson(template) + (collisionCount === 0 ? "" : String(collisionCount));
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  let name = "";
  for (let rest = hash; name.length < 10; rest /= 27n) name += nameLetters[Number(rest % 27n)];
  return name;
}

export function randomSuffix(random: Random): string {
  let name = "";
  for (let index = 0; index < 5; index += 1) name += nameLetters[Math.floor(random() * nameLetters.length)];
  return name;
}

export interface PodFrom {
  readonly template: PodTemplate;
  readonly namespace: string;
  readonly name: string;
  /** Set if the server completes the name. `name` is then empty. */
  readonly generateName?: string;
  readonly ownerKind: KindDefinition;
  readonly owner: KubernetesObject;
  readonly labels?: Readonly<Record<string, string>>;
}

export function podFrom({ template, namespace, name, generateName, ownerKind, owner, labels }: PodFrom): Pod {
  const metadata = template.metadata ?? {};
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      ...(generateName === undefined ? {} : { generateName }),
      namespace,
      ...(metadata.labels === undefined && labels === undefined ? {} : { labels: { ...metadata.labels, ...labels } }),
      ...(metadata.annotations === undefined ? {} : { annotations: { ...metadata.annotations } }),
      ...(metadata.finalizers === undefined ? {} : { finalizers: [...metadata.finalizers] }),
      ownerReferences: [ownerReference(ownerKind, owner)],
    },
    ...(template.spec === undefined ? {} : { spec: structuredClone(template.spec) }),
  };
}
