// Keeps what others change in a list that the engine writes.
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
