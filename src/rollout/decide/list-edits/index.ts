// Keeps what others change in a list that the engine writes.
export {
  hasOwnChanges,
  keepsEdits,
  listUndo,
  listUndoneAnyway,
  listWrite,
  restoredList,
  rewrittenList,
} from "./kept-edits.ts";
