import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { messageOf, type Clock, type Logger } from "../../../base/index.ts";
import { releaseInContainer, type LabRelease } from "../../images/index.ts";
import { buildContainerRoot, plainRoot } from "../containers/container-root.ts";
import { noRights, startInContainer } from "../containers/starter.ts";
import { closeDescriptor, lockFile } from "../libc.ts";
import { inNewNamespaces } from "../namespaces.ts";
import { compiledCodeInContainer, programMounts, programPath } from "./container-mounts.ts";

export interface CompiledCodeOptions {
  /**
   * The directory of the lab's own compiled code, which no container sees. Its subdirectory `pods` contains the code
   * for containers.
   */
  readonly directory: string;
  /** An existing directory of this node, for the files of a compilation. */
  readonly workDirectory: string;
  /** The root of the lab's own release, and the directory of its program relative to that root. */
  readonly ownRoot: string;
  readonly ownProgram: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * How long a release counts as compiled, in milliseconds. After this time it is compiled again, because some of its
 * code may have been pruned. Pruning removes files that look unused, and reading a file does not always update its
 * time.
 */
const validMs = 7 * 86_400_000;
/**
 * The suffixes of mark files. They follow a hash of 40 digits, and mean that a release has been compiled, or is being
 * compiled.
 */
const marks = { done: ".done", lock: ".lock" };
const markName = /^[0-9a-f]{40}\.(done|lock)$/;
const rootSizeMb = 16;
/** Matches Node.js' folder for a version, an architecture, its flags and the user 0. */
const folderOfRoot = /^(v\d+\.\d+\.\d+-\w+-[0-9a-f]+-)0$/;

/**
 * The V8 flags with which bin/serin starts programs, and the files of these programs. Lists only flags that change the
 * name of Node's folder for compiled code.
 */
const runs = [
  { flags: [], programs: ["cmd/main.*", "chunks/*.js", "packages/*.js", "**/*.worker.*"] },
  { flags: ["--heap-growing-percent=25"], programs: ["cmd/main.*", "{chunks,cmd}/{rollout,prometheus}{-,.}*"] },
  {
    flags: ["--optimize-for-size", "--heap-growing-percent=10"],
    programs: ["cmd/main.*", "{chunks,cmd}/{kiali,dashboard}{-,.}*"],
  },
];

/**
 * A script that compiles modules without running them: it makes a module that imports them all and whose evaluation
 * throws. Node.js stores the compiled code of CommonJS packages only if it runs them.
 */
const script = `
import { chmodSync, globSync, readFileSync } from "node:fs";
import { createRequire, flushCompileCache } from "node:module";
import { pathToFileURL } from "node:url";
const [root, program, cache, ...patterns] = process.argv.slice(1);
const isModule = (file) => /\\.[jt]s$/.test(file) && !/\\.(test|d)\\.ts$/.test(file);
const files = [...globSync(patterns, { cwd: program }).map((file) => program + "/" + file),
  ...globSync("samples/**/*.ts", { cwd: root }).map((file) => root + "/" + file)].filter(isModule);
const urls = ["data:text/javascript,throw 0", ...files.map((file) => pathToFileURL(file).href)];
const importer = urls.map((url) => "import " + JSON.stringify(url) + ";").join("");
await import("data:text/javascript," + encodeURIComponent(importer)).catch(() => undefined);
const require = createRequire(root + "/package.json");
for (const name of Object.keys(JSON.parse(readFileSync(root + "/package.json", "utf8")).dependencies ?? {}))
  try { await import(pathToFileURL(require.resolve(name)).href); } catch { /* It is compiled when it is used. */ }
flushCompileCache();
for (const file of globSync("*/*", { cwd: cache })) chmodSync(cache + "/" + file, 0o644);
process.exit();
`;

/**
 * The compiled code of releases, for programs of containers. Anybody who could write such code would control other
 * processes. So containers can only read it. A process of the lab compiles each release once, and runs no code of a
 * container for it.
 */
export class CompiledCode {
  readonly #options: CompiledCodeOptions;
  readonly #directory: string;
  /** The roots of the releases whose code this process has already requested. */
  readonly #known = new Set<string>();
  /** Resolves when the present compilation has ended. */
  filled: Promise<void> = Promise.resolve();

  constructor(options: CompiledCodeOptions) {
    this.#options = options;
    this.#directory = join(options.directory, "pods");
  }

  /**
   * Returns the directory of compiled code for containers that run this release as this user. It may still be empty.
   * Returns undefined if the directory cannot be made.
   */
  directoryFor(release: LabRelease, user: number): string | undefined {
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
      if (!this.#known.has(release.root)) {
        this.#known.add(release.root);
        this.filled = this.#fill(release);
      }
      if (user !== 0) this.#linkFor(user);
      return this.#directory;
    } catch (error) {
      this.#options.log.debug("containers get no compiled code", { error: messageOf(error) });
      return undefined;
    }
  }

  /**
   * Makes a link to the compiled code for a user, because Node.js looks in a folder whose name contains the user's id.
   */
  #linkFor(user: number): void {
    const names = new Set(readdirSync(this.#directory));
    for (const name of names) {
      const folder = folderOfRoot.exec(name)?.[1];
      if (folder !== undefined && !names.has(`${folder}${user}`))
        linkTo(name, join(this.#directory, `${folder}${user}`));
    }
  }

  /** Compiles a release. Never rejects. */
  async #fill(release: LabRelease): Promise<void> {
    try {
      const program = this.#programOf(release);
      const main = ["main.js", "main.ts"].map((name) => join(release.root, program, "cmd", name)).find(existsSync);
      if (main === undefined) return;
      const key = createHash("sha1")
        .update(`${process.version} ${program} ${stateOf(main)} `)
        .update(JSON.stringify(dependenciesOf(release)))
        .digest("hex");
      await this.#fillOnce(key, async () => {
        for (const run of runs) await this.#run(release, program, run);
      });
    } catch (error) {
      this.#options.log.debug("the code of a release was not compiled", {
        release: release.version,
        error: messageOf(error),
      });
    }
  }

  /**
   * Calls `fill` once for a key, under a lock, because several nodes and labs share the directory. If a process with
   * the lock is killed, the kernel releases the lock.
   */
  async #fillOnce(key: string, fill: () => Promise<void>): Promise<void> {
    const [done, lock] = [join(this.#directory, `${key}${marks.done}`), join(this.#directory, `${key}${marks.lock}`)];
    if (this.#isValid(done)) return;
    const descriptor = openSync(lock, "a");
    try {
      if (!lockFile(descriptor)) return;
      this.#removeOldMarks();
      await fill();
      writeFileSync(done, "");
      rmSync(lock, { force: true });
    } finally {
      closeSync(descriptor);
    }
  }

  #isValid(mark: string): boolean {
    const markedMs = statSync(mark, { throwIfNoEntry: false })?.mtimeMs;
    return markedMs !== undefined && this.#options.clock.nowMs() - markedMs < validMs;
  }

  /** Removes outdated marks. Otherwise each change of a checkout would add another mark. */
  #removeOldMarks(): void {
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name);
      if (markName.test(name) && !this.#isValid(path)) rmSync(path, { force: true });
    }
  }

  /** The directory of the release's program, as bin/serin chooses it. */
  #programOf({ root }: LabRelease): string {
    if (root === this.#options.ownRoot) return this.#options.ownProgram;
    return existsSync(join(root, "src/cmd/main.ts")) ? "src" : "dist";
  }

  async #run(release: LabRelease, program: string, { flags, programs }: (typeof runs)[number]): Promise<void> {
    const mount = this.#buildRoot(release);
    const words = [
      "node",
      ...flags,
      "--disable-warning=ExperimentalWarning",
      "--input-type=module",
      "-e",
      script,
      "--",
    ];
    const places = [releaseInContainer, join(releaseInContainer, program), compiledCodeInContainer];
    try {
      const child = inNewNamespaces({ pid: true }, () =>
        startInContainer({
          mount,
          rights: noRights,
          ownProc: "read-only",
          ownsTerminal: false,
          argv: ["/bin/sh", "-c", 'exec nice -n 19 "$@"', "compile", ...words, ...places, ...programs],
          environment: { PATH: programPath(release), HOME: "/", NODE_COMPILE_CACHE: compiledCodeInContainer },
          stdio: ["ignore", "ignore", "ignore"],
          exitDescriptor: undefined,
        }),
      );
      const [code] = (await once(child, "exit")) as [number | null];
      if (code !== 0) throw new Error(`exit code ${code}`);
    } finally {
      closeDescriptor(mount);
    }
  }

  #buildRoot(release: LabRelease): number {
    const workDirectory = mkdtempSync(join(this.#options.workDirectory, "compile-"));
    try {
      return buildContainerRoot({
        ...plainRoot,
        workDirectory,
        mounts: [
          ...programMounts(release),
          { source: this.#directory, target: compiledCodeInContainer, readOnly: false },
        ],
        readOnlyRoot: true,
        sizeMb: rootSizeMb,
      });
    } finally {
      rmdirSync(workDirectory);
    }
  }
}

/**
 * A text that is equal for all copies of a program, so that releases with the same code share the compiled form. For a
 * bundle, it is the content of the main module, because that imports all other modules by names with hashes of their
 * content. For sources, it is the modification time of the main module.
 */
function stateOf(main: string): string {
  return main.endsWith(".ts") ? String(statSync(main).mtimeMs) : readFileSync(main, "utf8");
}

function dependenciesOf({ root }: LabRelease): unknown {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly dependencies?: unknown };
  return manifest.dependencies ?? {};
}

/** Makes a link. Another node may make the same link at the same time. */
function linkTo(target: string, path: string): void {
  try {
    symlinkSync(target, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
