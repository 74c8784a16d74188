// Decides how many processes or labs run side by side.
import { availableParallelism, totalmem } from "node:os";
import type { Group } from "./groups.ts";

export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
}

export const thisMachine: Machine = { cores: availableParallelism(), memoryBytes: totalmem() };

const maxLanes: Readonly<Record<Group, number>> = { unit: 4, netns: 2, e2e: 3, interop: 1 };
/** The memory of the largest lab. A machine with less for each lane runs fewer lanes. */
const labBytes = 5 * 2 ** 30;

/**
 * The lanes of a group. A lab uses three quarters of a core on average, because its tests often wait. So labs have one
 * lane more than the machine has cores, if it has several.
 */
export function lanesOf(group: Group, { cores, memoryBytes }: Machine = thisMachine): number {
  if (group === "unit") return Math.min(maxLanes.unit, cores);
  const room = Math.max(1, Math.floor(memoryBytes / labBytes));
  const busy = group === "e2e" && cores > 1 ? cores + 1 : cores;
  return Math.min(maxLanes[group], busy, room);
}

/** Whether the machine has memory for one lab more than the lanes need. */
export function hasRoomBeside(lanes: number, { memoryBytes }: Machine = thisMachine): boolean {
  return memoryBytes >= (lanes + 1) * labBytes;
}
