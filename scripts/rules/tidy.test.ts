// House rules that the compiler and the linter cannot see. A finding names the file, the line, what is banned, and what
// to use.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { basename, dirname, join } from "node:path";
import test, { suite } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { istioAnnotations, istioLabels } from "../../src/api/istio/index.ts";
import { describeCircle, folderCircles } from "./imports/folder-circles.ts";
import { knownCircles } from "./imports/known-circles.ts";

const root = join(import.meta.dirname, "../..");
const maxLines = 800;

const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 })
  .split("\0")
  .filter((file) => file !== "");
const texts = new Map<string, string>();
for (const file of tracked) {
  const text = readTracked(file);
  if (text !== undefined && !text.includes("\0")) texts.set(file, text);
}

/** Returns the content of a tracked file, or undefined if it was deleted but not yet committed. */
function readTracked(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), "utf8");
  } catch {
    return undefined;
  }
}

const isOurs = (file: string): boolean => !file.startsWith("generated/");
const isSource = (file: string): boolean => file.endsWith(".ts") && isOurs(file);

interface Ban {
  readonly pattern: RegExp;
  readonly advice: string;
  readonly where: (file: string) => boolean;
}

function findings(bans: readonly Ban[]): string[] {
  const found: string[] = [];
  for (const [file, text] of texts) {
    const own = bans.filter((ban) => ban.where(file) && ban.pattern.test(text));
    if (own.length === 0) continue;
    for (const [index, line] of text.split("\n").entries()) {
      for (const { pattern, advice } of own) {
        const [match] = pattern.exec(line) ?? [];
        if (match !== undefined) found.push(`${file}:${index + 1}: "${match}" is banned: ${advice}`);
      }
    }
  }
  return found;
}

function assertNone(found: readonly string[]): void {
  assert.equal(found.length, 0, found.join("\n"));
}

test(`no file of ours is above ${maxLines} lines`, () => {
  const counts = [...texts]
    .filter(([file]) => isSource(file))
    .map(([file, text]) => ({ file, lines: text.split("\n").length - 1 }));
  assertNone(
    counts
      .filter(({ lines }) => lines > maxLines)
      .map(({ file, lines }) => `${file}:${maxLines + 1}: ${lines} lines: split it by what changes together`),
  );
});

/** The files to which the linter's limits of functions do not apply. */
const unlimitedFunctions: ReadonlySet<string> = new Set(["**/*.test.ts", "test/**", "bench/**"]);

test("no source is exempt from the limits of lines and parameters of a function", () => {
  const { overrides } = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8")) as {
    readonly overrides: readonly {
      readonly files: readonly string[];
      readonly rules: Readonly<Record<string, unknown>>;
    }[];
  };
  const rules = ["max-lines-per-function", "max-params"];
  const exempt = overrides
    .filter((override) => rules.some((rule) => override.rules[rule] !== undefined))
    .flatMap(({ files }) => files.filter((file) => !unlimitedFunctions.has(file)));
  assert.deepEqual(exempt, [], "split the function, or pass it an object");
  assertNone(
    findings([
      {
        pattern: new RegExp(`lint-disable.*\\b(${rules.join("|")})\\b`),
        advice: "split the function, or pass it an object",
        where: (file) => isSource(file) && file !== "scripts/rules/tidy.test.ts",
      },
    ]),
  );
});

/**
 * The maximum number of files in a folder of src, besides tests. Among more files, a reader does not find the right
 * one.
 */
const maxFilesOfFolder = 40;

test(`no folder of src has more than ${maxFilesOfFolder} files besides tests`, () => {
  const sources = [...texts.keys()].filter((file) => /^src\/.*(?<!\.test)\.tsx?$/.test(file));
  assertNone(
    [...Map.groupBy(sources, (file) => dirname(file))]
      .filter(([, files]) => files.length > maxFilesOfFolder)
      .map(([folder, files]) => `${folder}: ${files.length} files: group those that change together in a folder`),
  );
});

/** Files whose Maps and Sets at module level have a bound of their own, each with this bound. */
const boundedState: Readonly<Record<string, string>> = {
  "src/base/bounded-cache.ts": "one cache for each declaration of a module's cache",
  "src/controlplane/analysis/analysis.worker.ts": "the objects of the cluster, each until it is deleted",
  "src/dashboard/web/frame/route-view.tsx": "one view for each route",
  "src/dashboard/web/graph/draw-scene.ts": "emptied when it is full; the page imports no other part",
  "src/dashboard/web/inspect/drafts.ts": "the newest drafts",
  "src/dashboard/web/live/live-topics.ts": "the topics of the open views",
  "src/proxy/filters/lua/lua-machine.ts": "the types of the functions that Lua calls",
  "src/wire/http2/static-table.ts": "the names of the static table",
};

test("what a module remembers for the life of the process has a bound", () => {
  const unbounded = findings([
    {
      pattern: /^(export )?const \w+ = new (Map|Set)(<.*>)?\(\);/m,
      advice: "use moduleCache() of base, a WeakMap, or an object with an owner",
      where: (file) => file.startsWith("src/") && !/\.test\.tsx?$|\/testing\//.test(file),
    },
    {
      pattern: /^(export )?const \w+ = new BoundedCache\b/m,
      advice: "use moduleCache() of base, whose size the debug pages show",
      where: (file) => file.startsWith("src/") && !/\.test\.tsx?$|\/testing\//.test(file),
    },
  ]);
  assertNone(unbounded.filter((finding) => boundedState[finding.split(":")[0] ?? ""] === undefined));
  assert.deepEqual(
    Object.keys(boundedState).filter((file) => !unbounded.some((finding) => finding.startsWith(`${file}:`))),
    [],
    "these have no such state any more: remove them from the list",
  );
});

test("a label or annotation that api/istio names is spelled there only", () => {
  // The rule leaves out the rollout engine and the CNI agent, which load only what they need of api/istio, and the
  // page, which imports no other part. It leaves out manifests and the analyzer's list of annotations too, because
  // names in them are easier to read as they are.
  const isUser = (file: string): boolean =>
    /^src\/(analyze|cli|controlplane|dashboard|inject|operator|preflight)\//.test(file) &&
    !/\.test\.ts$|\/testing\/|^src\/dashboard\/web\/|^src\/analyze\/analyzers\/annotations\.ts$/.test(file);
  const names = [...Object.values(istioLabels), ...Object.values(istioAnnotations)].map((name) =>
    name.replaceAll(".", String.raw`\.`),
  );
  assertNone(
    findings([
      {
        pattern: new RegExp(`"(${names.join("|")})"`),
        advice: "use istioLabels or istioAnnotations",
        where: isUser,
      },
    ]),
  );
});

test("no file or folder has a meaningless name", () => {
  const named = tracked.filter(
    (file) => isOurs(file) && file.split("/").some((part) => /^(utils?|common|helpers?|misc)(\.|$)/.test(part)),
  );
  assertNone(named.map((file) => `${file}:1: a name that says nothing: name it after what it does`));
});

test("a parameter has the name of what it holds", () => {
  assertNone(
    findings([
      {
        pattern: /\b(one|it|each|thing)\b(: [^()=]+)?([,\]][^()=]*)?\)?(: [^()=]+)? =>|\bconst (one|it|each|thing)\b/,
        advice: "name the element: a pod, a usage, a candidate",
        where: (file) => /^src\/.*\.tsx?$/.test(file) && !/\.test\.tsx?$|\/testing\//.test(file),
      },
    ]),
  );
});

test("a blank line stands between a declaration with a body and the next one", () => {
  const found = [...texts]
    .filter(([file]) => /^src\/.*\.ts$/.test(file))
    .flatMap(([file, text]) =>
      [
        ...text.matchAll(/\n\}\n(?=\/\*\*|\/\/|(?:export )?(?:const|function|async function|class|interface|type) )/g),
      ].map(
        ({ index }) => `${file}:${text.slice(0, index + 2).split("\n").length}: no blank line after the declaration`,
      ),
    );
  assertNone(found);
});

test("the text speaks of the project only", () => {
  assertNone(
    findings([
      { pattern: /\.\.\/shared\b/, advice: "the project stands alone: put what it needs into it", where: isOurs },
      { pattern: /\bsession \d/i, advice: "say what was done, not when", where: isOurs },
      { pattern: /\bissue \d/i, advice: "say the reason itself", where: isOurs },
    ]),
  );
});

test("no file contains a package registry's host name", () => {
  const hosts =
    /registry\.(npmjs|yarnpkg|npmmirror)\.|\bnpmjs\.(org|com)\b|\bpypi\.org\b|files\.pythonhosted|\bproxy\.golang\b|\bcrates\.io\b|\brubygems\.org\b/i;
  assertNone(
    findings([
      {
        pattern: hosts,
        advice: "the machine's own configuration names it (package-lock.json: omit-lockfile-registry-resolved)",
        where: () => true,
      },
    ]),
  );
});

test("the lock file lists the build of each package for every platform", () => {
  const { packages } = JSON.parse(texts.get("package-lock.json") ?? "{}") as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies));
  const missing = wanted.filter((name) => packages[`node_modules/${name}`] === undefined);
  assertNone(
    missing.map(
      (name) => `package-lock.json:1: ${name} is missing, so that npm ci fails: run node scripts/complete-lockfile.ts`,
    ),
  );
});

test("values of JSON are compared by one function", () => {
  assertNone(
    findings([
      {
        pattern: /\bisDeepStrictEqual\b|JSON\.stringify\([^()]*\) [!=]== JSON\.stringify\(/,
        advice: "take jsonEqual() of src/base: the order of keys does not matter, and undefined fields count as absent",
        // The exceptions are the zones of proxies, which are in a Map, and the page, which imports no other part.
        where: (file) =>
          /^src\/(?!dashboard\/web\/).*\.ts$/.test(file) &&
          !/\.test\.ts$|\/testing\//.test(file) &&
          file !== "src/proxy/active-clusters.ts",
      },
    ]),
  );
});

test("no comment notes unfinished work", () => {
  assertNone(
    findings([
      {
        pattern: /\b(TODO|FIXME|XXX)\b/,
        advice: "do it, or say in docs/ what is not supported",
        where: (file) => file.startsWith("src/"),
      },
    ]),
  );
});

test("comments have at most 120 columns, besides command lines and addresses, because the formatter wraps only code", () => {
  const found: string[] = [];
  for (const [file, text] of texts)
    if (isSource(file))
      for (const [index, line] of text.split("\n").entries())
        if (line.length > 120 && /^\s*(\/\/ (?! )|\*|\/\*)/.test(line) && !line.includes("://"))
          found.push(`${file}:${index + 1}: a comment of ${line.length} columns`);
  assertNone(found);
});

/** A command, perhaps after a variable, that follows a sentence on the same line or begins the next line. */
const commandInProse = /^\/\/ (?! ).*[.:](?: |\n\/\/ )(?:[A-Z]+=\S+(?: |\n\/\/ ))?(?:node|npm run|npx|[\w./-]+\.sh)\s/m;

test("a command in the comment at the head of a file stands on a line of its own, so that it can be copied", () => {
  const found: string[] = [];
  for (const [file, text] of texts) {
    if (!isSource(file)) continue;
    const [head] = /^(?:#!.*\n)?(?:\/\/.*\n)*/.exec(text) ?? [""];
    const [match] = commandInProse.exec(head) ?? [];
    if (match !== undefined) found.push(`${file}:1: begin a new line after "//" and three spaces: ${match.trim()}`);
  }
  assertNone(found);
});

test("a comment that documents a value or a class stands above it, and not above an import", () => {
  assertNone(
    [...texts]
      .filter(([file, text]) => isSource(file) && /^ ?\*\/\nimport /m.test(text))
      .map(([file]) => `${file}: move the comment to what it documents, or write // if it documents the file`),
  );
});

test("a comment says what a value is before it says when there is none, and does so in a sentence", () => {
  assertNone(
    findings([
      {
        pattern:
          /\/\*\* (?:Undefined (?!means|stands)|(?:Absent|Empty|False): )|^\s*(?:\*|\/\/|\/\*\*) .*\b(?:Undefined|Absent|Empty): /,
        advice: "name the value first, then write `Undefined if …`, `Undefined means …` or `If undefined, …`",
        where: (file) => /^(?:src|scripts)\/.*\.tsx?$/.test(file),
      },
    ]),
  );
});

test("a comment says what a function or type is before it says what a parameter or field means", () => {
  const found: string[] = [];
  for (const [file, text] of texts) {
    if (!isSource(file)) continue;
    for (const match of text.matchAll(/\/\*\*(?: |\n *\* )`([\w.]+)`: (?:[^*]|\*(?!\/))*\*\/\n(.*)/g)) {
      const [, name = "", code = ""] = match;
      // A comment may explain the values of a union one by one.
      if (code.includes(`"${name}"`) || code.includes(`const ${name}`)) continue;
      const line = text.slice(0, match.index).split("\n").length;
      found.push(`${file}:${line}: begin with what the code is, and not with \`${name}\``);
    }
  }
  assertNone(found);
});

test("a documenting comment stands directly above what it documents, and a comment about the file begins with //", () => {
  assertNone(
    [...texts]
      .filter(([file]) => isSource(file))
      .flatMap(([file, text]) =>
        [...text.matchAll(/^ *(?:\/\*\*.*)?\*\/\n(?:\n| *\/\*\*)/gm)].map(
          ({ index }) => `${file}:${text.slice(0, index).split("\n").length}: a blank line or a comment follows`,
        ),
      ),
  );
});

test("a test that starts the program in an environment of its own passes the cache of compiled sources on", () => {
  const found: string[] = [];
  for (const [file, text] of texts) {
    if (!file.endsWith(".test.ts") || !/\bspawn(?:Sync)?\(process\.execPath\b.*\bmain\.ts\b/.test(text)) continue;
    for (const [block] of text.matchAll(/\benv: \{[^}]*\}/g))
      if (!/\.\.\.(?:process\.)?env\b|NODE_COMPILE_CACHE/.test(block))
        found.push(`${file}: ${block} lacks NODE_COMPILE_CACHE: the start takes twice the processor time`);
  }
  assertNone(found);
});

test("a test waits for a condition by until(), which ends with the condition's text when nothing fulfils it", () => {
  const pause =
    /\bwhile \([^;{]*\)\s+await (?:new Promise(?:<void>)?\(\(resolve\) => set(?:Timeout|Immediate)\(|\w+\.sleep\(|set(?:Timeout|Immediate)\()/g;
  assertNone(
    [...texts]
      .filter(([file]) => /^src\/.*\.test\.ts$/.test(file))
      .flatMap(([file, text]) =>
        [...text.matchAll(pause)].map(
          ({ index }) => `${file}:${text.slice(0, index).split("\n").length}: take until() of src/base/testing`,
        ),
      ),
  );
});

test("no test is skipped, narrowed or postponed", () => {
  const pattern = /\b(test|it|suite|describe|context|t)\.(skip|todo|only)\(|\b(skip|todo|only): /;
  assertNone(
    findings([
      {
        pattern,
        advice: "make it pass on every machine, or delete it",
        where: (file) => file.endsWith(".test.ts") && file !== "scripts/rules/tidy.test.ts",
      },
    ]),
  );
});

test("no process that only needs plain HTTP loads Node's HTTP client for fetch()", () => {
  const linesOf = (text: string): number[] =>
    [...text.matchAll(/^import (?!type\b)(?:[^;]*?from )?"node:http"/gm)].map(
      ({ index }) => text.slice(0, index).split("\n").length,
    );
  const imports =
    'import "node:http";\nimport type { Agent } from "node:http";\nimport {\n  get,\n} from "node:http";\n';
  assert.deepEqual(linesOf(imports), [1, 3]);
  const advice =
    "import types of it alone. Take its functions from nodeHttp() of src/base, or in samples/ and in modules that run " +
    'without src/base from process.getBuiltinModule("node:http")';
  assertNone(
    [...texts]
      .filter(([file]) => /^(src|samples)\//.test(file) && isSource(file) && !/\.test\.ts$|\/testing\//.test(file))
      .flatMap(([file, text]) => linesOf(text).map((line) => `${file}:${line}: ${advice}`)),
  );
});

test("no code waits for an abort that may have happened already", () => {
  assertNone(
    findings([
      {
        pattern: /\.addEventListener\("abort"/,
        advice: "take onAbort() or aborted() of src/base, which also hear an abort that came first",
        where: (file) =>
          /^src\/(?!dashboard\/web\/).*(?<!\.test)\.ts$/.test(file) &&
          !file.includes("/testing/") &&
          file !== "src/base/drain.ts",
      },
    ]),
  );
});

test("no module finds files beside itself, because a bundle has none", () => {
  assertNone(
    findings([
      {
        pattern: /\bimport\.meta\.dirname\b|new URL\([^#]*import\.meta\.url\)/,
        advice: "take programFile(), programDirectory() or packageRoot() of src/base",
        where: (file) =>
          /^src\/(?!dashboard\/web\/).*(?<!\.test)\.ts$/.test(file) &&
          !file.includes("/testing/") &&
          file !== "src/base/program-files.ts",
      },
    ]),
  );
});

test("every part has one door, or one for each folder", () => {
  // The page is a separate program: its bundle begins at main.tsx.
  const sources = tracked.filter((file) => /^src\/(?!cmd\/|dashboard\/web\/).*\.ts$/.test(file) && texts.has(file));
  const doorless = sources.filter((file) => {
    const [, part = "", folder = ""] = file.split("/");
    return !texts.has(`src/${part}/index.ts`) && !texts.has(`src/${part}/${folder}/index.ts`);
  });
  const folders = new Set(doorless.map((file) => file.split("/").slice(0, 3).join("/")));
  assertNone([...folders].map((folder) => `${folder}/index.ts:1: missing: a part is entered through it`));
});

test("every door begins with a comment that says what is behind it", () => {
  assertNone(
    [...texts]
      .filter(([file, text]) => /^src\/.*\/index\.tsx?$/.test(file) && !/^(?:\/\/ |\/\*\*)/.test(text))
      .map(([file]) => `${file}:1: begins without a comment: say in one sentence what the folder is`),
  );
});

/** Only lower this number, never raise it. */
const maxKnownCircles = 0;

test("folders import each other in one direction, and the list of exceptions may only get shorter", () => {
  const sources = [...texts].filter(([file]) => /^src\/.*\.tsx?$/.test(file));
  const circles = folderCircles(new Map(sources));
  assertNone(circles.filter(({ folder }) => knownCircles[folder] === undefined).map(describeCircle));
  const known = Object.keys(knownCircles);
  assert.deepEqual(
    known.filter((folder) => !circles.some((circle) => circle.folder === folder)),
    [],
    "these have no circle any more: delete them from scripts/rules/imports/known-circles.ts",
  );
  assert.ok(known.length <= maxKnownCircles, `${known.length} folders are exceptions, of at most ${maxKnownCircles}`);
});

const dashboardBound = {
  modules: 417,
  never: [
    "src/cluster/",
    "src/controlplane/",
    "src/preflight/",
    "src/proxy-dump/",
    "generated/kubernetes",
    "generated/proto",
    "node_modules/@bufbuild",
    "node_modules/@grpc",
    "node_modules/esbuild",
  ],
};

/**
 * The number of modules that a role may load at its start, because each costs time and memory in every process, and
 * folders that it must never load. A bound is the present number. Raise it only for code that each start needs: load
 * other code with `import()` on its first use.
 */
const roleBounds: Readonly<Record<string, { readonly modules: number; readonly never: readonly string[] }>> = {
  ztunnel: {
    modules: 370,
    never: [
      "src/api/",
      "src/cluster/",
      "src/controlplane/",
      "src/kube/",
      "src/proxy/",
      "generated/kubernetes",
      "generated/proto/envoy/extensions/filters",
      "node_modules/@bufbuild/cel",
      "node_modules/@grpc",
      "node_modules/@peculiar",
      "node_modules/re2js",
    ],
  },
  proxy: {
    modules: 699,
    never: [
      "src/cluster/",
      "src/controlplane/",
      "src/kube/",
      "src/ztunnel/",
      "generated/kubernetes",
      "node_modules/@bufbuild/cel",
      "node_modules/@grpc",
      "node_modules/@peculiar",
      "node_modules/jose",
      "node_modules/re2js",
      "node_modules/yaml",
    ],
  },
  pilot: {
    modules: 1000,
    never: [
      "src/cluster/",
      "src/dataplane/",
      "src/proxy/",
      "src/ztunnel/",
      "generated/kubernetes",
      "node_modules/@bufbuild/cel",
      "node_modules/@peculiar",
      "node_modules/koffi",
      "node_modules/re2js",
    ],
  },
  cni: {
    modules: 210,
    never: [
      "src/cluster/",
      "src/controlplane/",
      "generated/kubernetes",
      "generated/proto/envoy",
      "node_modules/@grpc",
      "node_modules/re2js",
      "node_modules/yaml",
    ],
  },
  "cluster-apiserver": {
    modules: 213,
    never: [
      "generated/proto",
      "node_modules/@bufbuild/cel",
      "node_modules/@grpc",
      "node_modules/@peculiar",
      "node_modules/koffi",
      "node_modules/re2js",
    ],
  },
  "cluster-controllers": {
    modules: 160,
    never: ["generated/proto", "node_modules/@bufbuild/cel", "node_modules/@grpc", "node_modules/koffi"],
  },
  "cluster-node": {
    modules: 187,
    never: ["generated/proto", "node_modules/@bufbuild/cel", "node_modules/@grpc", "node_modules/yaml"],
  },
  "cluster-supervisor": { modules: 73, never: ["src/kube/", "generated/", "node_modules/@grpc", "node_modules/yaml"] },
  "cluster-launcher": { modules: 30, never: ["src/kube/", "generated/", "node_modules/"] },
  cluster: { modules: 30, never: ["generated/", "node_modules/"] },
  cli: {
    modules: 40,
    never: ["src/api/", "src/kube/", "src/install/", "src/operator/", "generated/", "node_modules/yaml"],
  },
  rollout: {
    modules: 418,
    never: [
      "src/cluster/",
      "src/controlplane/",
      "src/install/",
      "src/preflight/",
      "src/promql/",
      "src/proxy/",
      "generated/kubernetes",
      "generated/proto",
      "node_modules/@bufbuild/cel",
      "node_modules/@grpc",
      "node_modules/@peculiar",
      "node_modules/re2js",
      "node_modules/rrule",
      "node_modules/yaml",
    ],
  },
  release: { modules: 40, never: ["src/api/", "src/install/", "generated/", "node_modules/yaml"] },
  probe: { modules: 32, never: ["generated/", "node_modules/"] },
  kiali: dashboardBound,
  dashboard: dashboardBound,
};
const otherRole = { modules: 260, never: ["generated/kubernetes", "node_modules/@bufbuild/cel"] };

suite("a role loads only the modules that it needs", async () => {
  const imports = await loadRoles();
  for (const role of rolesOf()) {
    const { modules, never } = roleBounds[role] ?? otherRole;
    const loaded = reachable(`src/cmd/${role}.ts`, imports);
    test(`${role}: at most ${modules} modules`, () => {
      assert.ok(
        loaded.size <= modules,
        `src/cmd/${role}.ts:1: ${loaded.size} modules are loaded at start, ${modules} are allowed: import() what is used later`,
      );
      const banned = [...loaded.keys()].filter((file) => never.some((prefix) => file.startsWith(prefix)));
      assertNone(
        banned.map(
          (file) =>
            `src/cmd/${role}.ts:1: loads ${wayTo(file, loaded).join(" -> ")}: import() it where it is used, or import from a smaller door`,
        ),
      );
    });
  }
});

function rolesOf(): string[] {
  return tracked
    .filter((file) => /^src\/cmd\/[^/]+(?<!\.test)\.ts$/.test(file))
    .map((file) => basename(file, ".ts"))
    .filter((name) => name !== "main" && name !== "role");
}

/**
 * Imports every role's module. Returns, for each importing module, the modules that it imports. Paths are relative to
 * the root.
 */
async function loadRoles(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const imports = new Map<string, Set<string>>();
  const relative = (url: string): string => fileURLToPath(url).slice(root.length + 1);
  const hooks = registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context);
      if (resolved.url.startsWith("file:") && context.parentURL?.startsWith("file:") === true) {
        const from = relative(context.parentURL);
        imports.set(from, (imports.get(from) ?? new Set()).add(relative(resolved.url)));
      }
      return resolved;
    },
  });
  for (const role of rolesOf()) await import(pathToFileURL(join(root, `src/cmd/${role}.ts`)).href);
  hooks.deregister();
  return imports;
}

/** Returns every file that `start` loads, each with the file that imports it first. */
function reachable(
  start: string,
  imports: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, string | undefined> {
  const seen = new Map<string, string | undefined>([[start, undefined]]);
  for (const [file] of seen) {
    for (const next of imports.get(file) ?? []) if (!seen.has(next)) seen.set(next, file);
  }
  return seen;
}

function wayTo(file: string, loaded: ReadonlyMap<string, string | undefined>): string[] {
  const way: string[] = [];
  for (let at: string | undefined = file; at !== undefined; at = loaded.get(at)) way.unshift(at);
  return way.slice(1);
}
