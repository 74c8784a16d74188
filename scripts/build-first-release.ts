// Builds release 0.1.0 from its commit, as the release to upgrade from: its tree with bin/serin, and its images. The
// images get one patch, without which a kubelet cannot start them. Then runc starts every container of the ambient
// profile, if this machine can do that.
//   node scripts/build-first-release.ts [--output DIR] [--arch amd64]
//   npm run e2e:kubernetes -- --from DIR --only mesh-upgrade
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { defaultHub } from "../src/api/images/index.ts";
import { podsOfManifest } from "../test/support/every-pod.ts";
import { ImageStore } from "../test/support/image-store.ts";
import { startContainers, whyNotByRunc } from "../test/support/start-containers.ts";
import { runProgram } from "./image/run-program.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

const root = join(import.meta.dirname, "..");
const commit = "e0fda6c4ea4ea250773192d78cde6253c6eebd37";
const patch = join(root, "test/kubernetes/first-release.patch");
/** The Node that runs this script also runs the release's own scripts. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}` };

const { values } = scriptArguments(
  {
    command: "node scripts/build-first-release.ts",
    help: {
      output: "the directory of the tree and its images",
      arch: "architectures of the images, separated by commas",
    },
  },
  {
    output: { type: "string", default: join(root, ".cache/kubernetes/release-0.1.0") },
    arch: { type: "string", default: process.arch === "arm64" ? "arm64" : "amd64" },
  },
);

function note(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Fetches the release's commit if the checkout is shallow and lacks it. */
function fetchCommit(): void {
  try {
    runProgram("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: root });
  } catch {
    note(`fetching ${commit}`);
    runProgram("git", ["fetch", "--depth", "1", "origin", commit], { cwd: root });
  }
}

function writeTree(tree: string, scratch: string): void {
  const archive = join(scratch, "tree.tar");
  runProgram("git", ["archive", "--output", archive, commit], { cwd: root });
  mkdirSync(tree);
  runProgram("tar", ["--extract", "--file", archive, "--directory", tree]);
  // Inside another checkout, `git apply` skips the files without an error.
  runProgram("git", ["apply", patch], { cwd: tree, env: { ...env, GIT_CEILING_DIRECTORIES: scratch } });
  runProgram("npm", ["ci", "--no-audit", "--no-fund"], { cwd: tree, env });
}

/** Starts every container. Returns their number, or throws if one of them does not run its program. */
async function startAll(tree: string, images: string, scratch: string): Promise<number> {
  const manifest = runProgram(
    join(tree, "bin/serin"),
    ["manifest", "generate", "--set", "profile=ambient", "--set", `hub=${defaultHub}`],
    { env },
  );
  const store = ImageStore.open(images, scratch);
  const { started, faults } = await startContainers(podsOfManifest("ambient", manifest), store, scratch, {
    // Do not check the memory: version 0.1.0 requests less than it uses, and a published release does not change.
    judgesMemory: false,
  });
  if (faults.length > 0) throw new Error(`These containers do not start:\n${faults.join("\n")}`);
  return started;
}

const output = resolve(values.output);
mkdirSync(dirname(output), { recursive: true });
const scratch = mkdtempSync(`${output}.new-`);
try {
  fetchCommit();
  const tree = join(scratch, "serin");
  writeTree(tree, scratch);
  note("the tree and its packages are there");
  const images = join(scratch, "images");
  const build = ["scripts/build-image.ts", "--arch", values.arch, "--output", images];
  runProgram(process.execPath, build, { cwd: tree, env });
  const why = whyNotByRunc();
  if (why === undefined)
    note(`runc started ${await startAll(tree, images, scratch)} containers of its ambient profile`);
  else note(`not run: the start of its containers: ${why}`);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output);
  for (const part of [tree, images]) renameSync(part, join(output, basename(part)));
  note(output);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
