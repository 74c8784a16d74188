// Stands in for Velero's command line where a test types a page's restore. Its backup is a file with a List of objects.
// Like Velero, it restores with an account of its own, in an order of its own, without uids, owners and addresses, and
// it restores the statuses of only those resources that the line names. It never replaces an object.
//   node test/support/velero.ts restore create --from-backup NAME [--wait] [--status-include-resources LIST]
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

interface Stored {
  readonly kind: string;
  readonly metadata: Record<string, unknown>;
  readonly spec?: Record<string, unknown>;
  readonly status?: unknown;
}

const account = "system:serviceaccount:velero:velero";
/** Metadata that Velero leaves out. It keeps annotations and finalizers. */
const leftOut = [
  "generateName",
  "selfLink",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "ownerReferences",
];
/** Velero restores these kinds first, in this order. */
const restoredFirst = ["Namespace", "Secret", "ReplicaSet", "Service"];

function placeOf({ kind }: Stored): number {
  return restoredFirst.includes(kind) ? restoredFirst.indexOf(kind) : restoredFirst.length;
}

function kubectl(words: readonly string[], object: Stored): string {
  return execFileSync("kubectl", [`--as=${account}`, ...words, "-f", "-"], {
    input: JSON.stringify(object),
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
  });
}

function bare({ status: _status, ...object }: Stored, backup: string): Stored {
  const kept = Object.entries(object.metadata).filter(([field]) => !leftOut.includes(field));
  const metadata = Object.fromEntries(kept);
  const labels = { ...(metadata["labels"] as object | undefined), "velero.io/backup-name": backup };
  const { clusterIP: _address, clusterIPs: _addresses, ...spec } = object.spec ?? {};
  return {
    ...object,
    metadata: { ...metadata, labels },
    ...(object.spec === undefined ? {} : { spec: object.kind === "Service" ? spec : object.spec }),
  };
}

function restore(object: Stored, backup: string, withStatus: readonly string[]): string {
  const name = `${object.kind} ${String(object.metadata["name"])}`;
  let created: Stored;
  try {
    created = JSON.parse(kubectl(["create", "-o", "json"], bare(object, backup))) as Stored;
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    if (stderr?.includes("AlreadyExists") === true) return `${name} exists and is not changed`;
    throw error;
  }
  const isWanted = withStatus.some((resource) => resource.split(".")[0] === pluralOf(object.kind));
  if (object.status === undefined || !isWanted) return `${name} is restored`;
  kubectl(["replace", "--subresource=status"], { ...created, status: object.status });
  return `${name} is restored with its status`;
}

function pluralOf(kind: string): string {
  const word = kind.toLowerCase();
  return word.endsWith("y") ? `${word.slice(0, -1)}ies` : `${word}s`;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "from-backup": { type: "string" },
    "status-include-resources": { type: "string" },
    wait: { type: "boolean", short: "w" },
  },
});
const backup = values["from-backup"] ?? "";
if (positionals.join(" ") !== "restore create" || backup === "")
  throw new Error("expected restore create --from-backup");
const { items } = JSON.parse(readFileSync(`${backup}.json`, "utf8")) as { readonly items: readonly Stored[] };
const inOrder = items.toSorted((a, b) => placeOf(a) - placeOf(b) || a.kind.localeCompare(b.kind));
for (const object of inOrder)
  process.stdout.write(`${restore(object, backup, (values["status-include-resources"] ?? "").split(","))}\n`);
