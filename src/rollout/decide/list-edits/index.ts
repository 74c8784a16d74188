// Keeps what others change in a list that the engine writes.
export {
  hasOwnChanges,
  keepsEdits,
  listUndo,
  listUndoneAnyway,
  listWrite,
  type ListInCluster,
  type ListUndo,
  type ListWrite,
  type PlannedList,
} from "./kept-edits.ts";
