import { groups, type Group } from "./groups.ts";
import { UsageError } from "./usage-error.ts";

export interface Options {
  readonly help: boolean;
  readonly group: Group | "check" | undefined;
  /** Do not run a failed file a second time. */
  readonly once: boolean;
  /** Print the chosen files and run none. */
  readonly list: boolean;
  /**
   * Run only the tests that a change can affect. The change is everything since the revision `since`. If `since` is
   * undefined, it is everything since the branch left the main branch.
   */
  readonly changed: { readonly since: string | undefined } | undefined;
  /** Run the checks, a few unit files that load most of the sources, and one lab. */
  readonly smoke: boolean;
  /** How many processes or labs run side by side. When absent, the group and the machine decide. */
  readonly lanes: number | undefined;
  /** Record how long each file took. */
  readonly record: boolean;
  /** Run only these files and the files in these folders. Empty for all files. */
  readonly files: readonly string[];
}

export const usage = `npm test [-- [options] [path/to/one.test.ts | path/to/folder ...]]
  With paths, only these test files and the test files in these folders run. Without paths, everything except interop.
  --only GROUP           run only check, unit, netns, e2e or interop
  --changed [REVISION]   run the checks, and the tests that need a file which differs from REVISION
                         (default: the commit at which your branch left the main branch)
  --smoke                run the checks, a few unit files that load most of the sources, and one lab
  --list                 print the chosen files, and run nothing
  --once                 do not run a failed file a second time
  --lanes N              run N processes or labs at a time (default: as many as the group and the machine allow)
  --record               record how long each file took, in scripts/suite/durations.json
`;

export function parseOptions(args: readonly string[]): Options {
  const options = {
    help: false,
    group: undefined as Options["group"],
    once: false,
    list: false,
    smoke: false,
    record: false,
  };
  let changed: Options["changed"];
  let lanes: number | undefined;
  const files: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    const next = args[at + 1];
    if (arg === "--help") options.help = true;
    else if (arg === "--once") options.once = true;
    else if (arg === "--list") options.list = true;
    else if (arg === "--smoke") options.smoke = true;
    else if (arg === "--record") options.record = true;
    else if (arg === "--only") {
      options.group = parseOnly(next);
      at += 1;
    } else if (arg === "--lanes") {
      lanes = Number(next);
      if (!Number.isInteger(lanes) || lanes < 1)
        throw new UsageError(`--lanes ${next ?? ""}: expected a number from 1`);
      at += 1;
    } else if (arg.startsWith("--changed=")) changed = { since: arg.slice("--changed=".length) };
    else if (arg === "--changed") {
      const isRevision = next !== undefined && !next.startsWith("-") && !next.endsWith(".ts");
      changed = { since: isRevision ? next : undefined };
      if (isRevision) at += 1;
    } else if (arg.startsWith("-")) throw new UsageError(`${arg}: no such option; npm test -- --help lists them`);
    else files.push(arg);
  }
  if (options.smoke && changed !== undefined)
    throw new UsageError("--smoke and --changed exclude each other: give one of them");
  return { ...options, changed, lanes, files };
}

function parseOnly(given: string | undefined): Group | "check" {
  const only = (["check", ...groups] as const).find((name) => name === given);
  if (only === undefined) throw new UsageError(`--only ${given ?? ""}: expected one of check, ${groups.join(", ")}`);
  return only;
}
