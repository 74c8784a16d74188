// Merges the engine's changes of a list with the changes that others make in the same list.
export {
  hasOwnChanges,
  keepsEdits,
  listDoneAnyway,
  listUndo,
  listUndoIfRewritten,
  listUndoneAnyway,
  listWithout,
  listWrite,
  restoredList,
  rewrittenList,
} from "./kept-edits.ts";
