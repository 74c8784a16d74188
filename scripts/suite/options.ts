// What `npm test -- …` was told to do.
import { groups, type Group } from "./groups.ts";

export interface Options {
  readonly help: boolean;
  readonly group: Group | "check" | undefined;
  /** A file that failed is not run a second time. */
  readonly once: boolean;
  /** Says which files it would run, and runs none. */
  readonly list: boolean;
  /** Only what a change can touch, since a revision or, without one, since the line parted from the main line. */
  readonly changed: { readonly since: string | undefined } | undefined;
  /** These files alone; all of them if there are none. */
  readonly files: readonly string[];
}

export const usage =
  "npm test [-- [--only check|unit|netns|e2e|interop] [--changed [REVISION]] [--list] [--once] [path/to/one.test.ts …]]\n";

export function parseOptions(args: readonly string[]): Options {
  const options = { help: false, group: undefined as Options["group"], once: false, list: false };
  let changed: Options["changed"];
  const files: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    const next = args[at + 1];
    if (arg === "--help") options.help = true;
    else if (arg === "--once") options.once = true;
    else if (arg === "--list") options.list = true;
    else if (arg === "--only") {
      options.group = parseOnly(next);
      at += 1;
    } else if (arg.startsWith("--changed=")) changed = { since: arg.slice("--changed=".length) };
    else if (arg === "--changed") {
      const isRevision = next !== undefined && !next.startsWith("-") && !next.endsWith(".ts");
      changed = { since: isRevision ? next : undefined };
      if (isRevision) at += 1;
    } else if (arg.startsWith("-")) throw new Error(`${arg}: no such option; ${usage.trim()}`);
    else files.push(arg);
  }
  return { ...options, changed, files };
}

function parseOnly(given: string | undefined): Group | "check" {
  const only = (["check", ...groups] as const).find((name) => name === given);
  if (only === undefined) throw new Error(`--only ${given ?? ""}: expected one of check, ${groups.join(", ")}`);
  return only;
}
