import type { KindDefinition, KubernetesObject } from "../../../api/index.ts";
import type { ControllerContext } from "../controller.ts";
import { isTerminating } from "./pod-facts.ts";

/**
 * Whether the server still has the owner, which may then adopt orphans. The owner's watch may lag behind the watch of
 * its dependents. An owner that was deleted with `--cascade=orphan` could otherwise adopt them again, and the garbage
 * collector would delete them.
 */
export async function mayAdopt(
  { client }: Pick<ControllerContext, "client">,
  kind: KindDefinition,
  owner: KubernetesObject,
): Promise<boolean> {
  const { name = "", namespace, uid } = owner.metadata;
  const found = await client.get(kind, name, namespace);
  return found !== undefined && found.metadata.uid === uid && !isTerminating(found);
}
