import type { UntypedObject } from "../../api/index.ts";
import type { Write } from "../decide/index.ts";
import type { ObjectAccess } from "./object-access.ts";

/**
 * Performs one write of a step. Repeating it changes nothing. For a field, returns the value that the server stored.
 */
export async function performWrite(objects: ObjectAccess, write: Write, prior: unknown): Promise<unknown> {
  if (write.type === "field") return await objects.setField(write.object, write.pointer, write.value, prior);
  if (write.type === "create") await objects.create(write.object, write.body);
  else await objects.delete(write.object, (prior as UntypedObject | undefined)?.metadata.uid, write.force);
  return undefined;
}
