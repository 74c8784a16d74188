// Writes of a person's orders to the very object that the person has seen.
export { createAsApplied } from "./create-as-applied.ts";
export { deleteThisObject } from "./delete-this-object.ts";
export { patchThisObject } from "./patch-this-object.ts";
export { patchAsRead } from "./patch-as-read.ts";
