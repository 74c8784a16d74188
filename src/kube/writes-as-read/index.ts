// Writes of a person's orders to the very object that the person has seen.
export { deleteThisObject } from "./delete-this-object.ts";
export { patchAsRead } from "./patch-as-read.ts";
