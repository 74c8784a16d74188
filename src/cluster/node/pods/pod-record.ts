import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessIdentity } from "../containers/container-process.ts";
import type { ContainerRecord } from "./container-record.ts";
import type { PodAddress } from "../network/pod-network.ts";

/** Why a node ended a pod before its containers had ended by themselves. */
export interface PodFailure {
  readonly reason: string;
  readonly message: string;
}

/** The state of a pod that a restarted process of the node needs. It is written into the lab's tmpfs at each change. */
export interface PodRecord {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly startTime: string;
  readonly init: ProcessIdentity | undefined;
  readonly address: PodAddress | undefined;
  /** Whether the network plugins have added the pod to the network. */
  readonly attached: boolean;
  readonly failure?: PodFailure | undefined;
  readonly containers: readonly ContainerRecord[];
}

const fileName = "pod.json";

export function writePodRecord(directory: string, record: PodRecord): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, fileName);
  writeFileSync(`${path}.new`, JSON.stringify(record));
  renameSync(`${path}.new`, path);
}

/** Reads the records of all pods below a directory. Leaves out unreadable records. */
export function readPodRecords(podsDirectory: string): PodRecord[] {
  let names: string[];
  try {
    names = readdirSync(podsDirectory);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(join(podsDirectory, name, fileName), "utf8")) as PodRecord];
    } catch {
      return [];
    }
  });
}
