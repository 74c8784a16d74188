// House rules that the compiler and the linter cannot see. A finding names the file, the line, what is banned, and what
// to use.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { basename, join } from "node:path";
import test, { suite } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describeCircle, folderCircles } from "./folder-circles/folder-circles.ts";
import { knownCircles } from "./folder-circles/known-circles.ts";

const root = join(import.meta.dirname, "..");
const maxLines = 800;

const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 })
  .split("\0")
  .filter((file) => file !== "");
const texts = new Map<string, string>();
for (const file of tracked) {
  const text = readTracked(file);
  if (text !== undefined && !text.includes("\0")) texts.set(file, text);
}

/** Undefined for a file that was deleted but not yet committed. */
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

/**
 * How many files may still have functions of more lines, or parameters, than the linter allows. Lower them, never raise
 * them.
 */
const exceptions: Readonly<Record<string, number>> = { "max-lines-per-function": 47, "max-params": 40 };

test("the list of exceptions to the size of functions names existing files, and may only get shorter", () => {
  const { overrides } = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8")) as {
    readonly overrides: readonly {
      readonly files: readonly string[];
      readonly rules: Readonly<Record<string, unknown>>;
    }[];
  };
  for (const [rule, most] of Object.entries(exceptions)) {
    const files = overrides
      .filter(({ rules }) => rules[rule] === "off")
      .flatMap((override) => override.files.filter((file) => !file.includes("*")));
    assert.deepEqual(
      files.filter((file) => !texts.has(file)),
      [],
    );
    assert.ok(files.length <= most, `${files.length} files are exceptions from ${rule}, of at most ${most}`);
  }
});

test("no file or folder has a meaningless name", () => {
  const named = tracked.filter(
    (file) => isOurs(file) && file.split("/").some((part) => /^(utils?|common|helpers?|misc)(\.|$)/.test(part)),
  );
  assertNone(named.map((file) => `${file}:1: a name that says nothing: name it after what it does`));
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

test("no test is skipped, narrowed or postponed", () => {
  const pattern = /\b(test|it|suite|describe|context|t)\.(skip|todo|only)\(|\b(skip|todo|only): /;
  assertNone(
    findings([
      {
        pattern,
        advice: "make it pass on every machine, or delete it",
        where: (file) => file.endsWith(".test.ts") && file !== "scripts/tidy.test.ts",
      },
    ]),
  );
});

test("no process that only needs plain HTTP loads Node's HTTP client for fetch()", () => {
  const advice = "import types of it alone, and take its functions from nodeHttp() of src/base";
  assertNone(
    findings([
      {
        pattern: /^import (?!type\b).*"node:http"/m,
        advice,
        where: (file) => file.startsWith("src/") && isSource(file) && !/\.test\.ts$|\/testing\//.test(file),
      },
    ]),
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
  // The page is a program of its own: its bundle begins at main.tsx.
  const sources = tracked.filter((file) => /^src\/(?!cmd\/|dashboard\/web\/).*\.ts$/.test(file) && texts.has(file));
  const doorless = sources.filter((file) => {
    const [, part = "", folder = ""] = file.split("/");
    return !texts.has(`src/${part}/index.ts`) && !texts.has(`src/${part}/${folder}/index.ts`);
  });
  const folders = new Set(doorless.map((file) => file.split("/").slice(0, 3).join("/")));
  assertNone([...folders].map((folder) => `${folder}/index.ts:1: missing: a part is entered through it`));
});

/** Lower it, never raise it. */
const maxKnownCircles = 0;

test("folders import each other in one direction, and the list of exceptions may only get shorter", () => {
  const sources = [...texts].filter(([file]) => /^src\/.*\.tsx?$/.test(file));
  const circles = folderCircles(new Map(sources));
  assertNone(circles.filter(({ folder }) => knownCircles[folder] === undefined).map(describeCircle));
  const known = Object.keys(knownCircles);
  assert.deepEqual(
    known.filter((folder) => !circles.some((circle) => circle.folder === folder)),
    [],
    "these have no circle any more: delete them from scripts/folder-circles/known-circles.ts",
  );
  assert.ok(known.length <= maxKnownCircles, `${known.length} folders are exceptions, of at most ${maxKnownCircles}`);
});

const dashboardBound = {
  modules: 404,
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
 * The number of modules that a role may load at its start, and folders that it must never load. Rarely used modules are
 * loaded on first use. Each bound counts two modules for the program's location and its source maps, two for the
 * compliance policy that limits TLS contexts, and one that limits the connections of a server. Those of roles that
 * check or compile formats of access logs count one for Envoy's command operators.
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
  // Twelve are those of traces and of logs by OTLP; some are for what requests have in common in a log, bodies that
  // filters hold, pools by client and hosts by name; nine are the HTTP/2 session and its rules for fields, four judge
  // what a stranger says in heads, trailers and tokens, nineteen are scripts and messages that filters hold (the
  // interpreter itself is read at the first script), six read how modules of users are configured, three are the door
  // between the process and what serves, three are doors that proxies and ztunnels share, four bound CEL (the evaluator
  // is read at the first expression), two are what two floors share, eight read and make certificates, seven are parts
  // of an exchange and its table of replies, four are filters whose configuration comes by itself, one composes header
  // blocks, and one learns that the pod ends. Two are for mode TPROXY: the message of original_src, and who uses it.
  // Two route by zone: the shares of localities, and the cluster of the proxy's own workload. One names what both ends
  // of zone-aware balancing agree on. Five change headers: two of messages, the filter, its configuration, and the
  // changes. One is what a proxy says of a client. Eight describe requests to rate limits: two of messages, two of
  // configuration, the rules, the limits by descriptors, and two of expressions, which logs share. One reads
  // TypedStructs. Ten ask a rate limit service: four of messages, the filter, its question and its configuration, and
  // three that it shares with external authorization. One opens tunnels through proxies that speak HTTP/2. One is the
  // message by which listeners and clusters keep the case of headers. One reads the filters that exchange metadata of
  // peers, and one is what expressions and logs know of these peers. Two tell clients of rate limits: the fields, and
  // the buckets. Eight compress: four of messages, the filter, its configuration, the choice of a coding, and the
  // bodies (zlib itself is read at the first configuration). Three hold requests: the message, the filter and its
  // configuration. Three refuse requests that other sites forge. Three answer health checks. One compiles what routes
  // change of filters. Two keep foreign web pages from the ports for the pod. One bounds the files
  // that configuration names. Eight keep sessions at their endpoint: four of messages, the filter, its configuration,
  // where clients keep the endpoint, and what a request says of it.
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
  // Ten are the kinds, settings, feeds, model, controller and debug answer of multi-cluster services. One is the
  // message of original_src. Three serve sidecars the endpoints of their own workload, one names what both ends of
  // zone-aware balancing agree on, three know the zones, times and rules of a Freeze, one the names of objects, one
  // lists the kinds of rollouts, one is the rules of header_mutation, one reads the roots for key sets, one names the
  // kinds that must not be read, and one sends unknown hosts to the address of their name. Two are the messages of
  // descriptors by an expression, and four those of the filter that asks a rate limit service. One reads which clusters
  // a listener names, for the order of what is sent, one limits TLS by the compliance policy, and one loads the
  // controllers that are off by default. Four make listeners and clusters keep the case of headers: the message, the
  // options with it, the HTTP versions of clusters, which traffic policies contained before, and a proxy's own setting.
  // One makes the clusters of unknown destinations, which obey the mesh's policy. Four are messages of the filter that
  // compresses. One is that of the filter that holds requests. One is that of the filter against forged requests. One
  // is that of the filter that answers health checks. Three serve gRPC servers without a proxy: their listener, their
  // authorization, and TLS by certificate providers. Two read the kubeconfigs of remote clusters, from Secrets or from
  // a folder. Two are the control plane's routes and controllers. Five are parts of waypoints' resources. Two keep
  // foreign web pages from debug pages. Four are messages of the filter that keeps sessions at their endpoint, and two
  // read and write the sessions of services.
  pilot: {
    modules: 951,
    never: [
      "src/cluster/",
      "src/dataplane/",
      "src/proxy/",
      "src/ztunnel/",
      "generated/kubernetes",
      "node_modules/@bufbuild/cel",
      "node_modules/@peculiar",
      "node_modules/koffi",
    ],
  },
  cni: {
    // With the plugin that it writes and answers, the rules and routes of mode TPROXY, the zones, times and rules of a
    // Freeze, the names of objects, hosts and labels, the list of rollouts' kinds, why the agent ends, and the names of
    // headers that a Canary matches.
    modules: 197,
    never: [
      "src/cluster/",
      "src/controlplane/",
      "generated/kubernetes",
      "generated/proto/envoy",
      "node_modules/@grpc",
      "node_modules/yaml",
    ],
  },
  // Eight read and make certificates, which it needs before it listens. Another eight count requests for /metrics.
  // Three are the kinds, tables and answers of the metrics API, two read and admit certificate requests, two admit
  // claims and volumes, one checks network policies, three check LimitRanges, and pods and claims by them, and five
  // count what ResourceQuotas limit. Two parse the schedules and time zones of CronJobs. Three enforce admission
  // policies, which see requests as webhooks do. Six enforce the Pod Security Standards, one what a node may
  // change, and three what it may read. One adds new rules to stored roles.
  "cluster-apiserver": {
    modules: 207,
    never: [
      "generated/proto",
      "node_modules/@bufbuild/cel",
      "node_modules/@grpc",
      "node_modules/@peculiar",
      "node_modules/koffi",
      "node_modules/re2js",
    ],
  },
  // Three are the autoscalers' sources, usage and plan; one answers certificate requests and loads their signer later;
  // seven plan, bind and protect volumes, and make the claims of StatefulSets; two know the schedules and time zones of
  // CronJobs. Four decide the ends of Jobs, one asks before an adoption, and one tells what holds a namespace.
  "cluster-controllers": {
    modules: 157,
    never: ["generated/proto", "node_modules/@bufbuild/cel", "node_modules/@grpc", "node_modules/koffi"],
  },
  // Three measure what containers use, three find and delete the directories of volumes, three plan and enforce
  // network policies, two give containers the applets of busybox, and one decides which of several Services has an
  // address. Three watch only what the node's pods refer to.
  "cluster-node": {
    modules: 170,
    never: ["generated/proto", "node_modules/@bufbuild/cel", "node_modules/@grpc", "node_modules/yaml"],
  },
  "cluster-supervisor": { modules: 72, never: ["src/kube/", "generated/", "node_modules/@grpc", "node_modules/yaml"] },
  "cluster-launcher": { modules: 30, never: ["src/kube/", "generated/", "node_modules/"] },
  cluster: { modules: 30, never: ["generated/", "node_modules/"] },
  cli: {
    modules: 40,
    never: ["src/api/", "src/kube/", "src/install/", "src/operator/", "generated/", "node_modules/yaml"],
  },
  // Half of them are its own, three of these for what an upgrade leaves behind and when to look again, two for what
  // Canaries may copy and ask, two for where control planes are, one for how old events are, two for what observers
  // keep and for how long, one for who does not answer since when, one for logs within a limit, five for the images'
  // hub and the rights of probes, seven for authors and their rights, which every round asks about, one for why it is
  // held up, two for the times and rules of freezes, one for the names of objects, one lists their kinds, six for the
  // thread that reviews strangers' objects, four bound conditions' CEL, one knows which injector takes a restarted pod;
  // what signs, plans an installation or evaluates is loaded with its first use.
  rollout: {
    modules: 363,
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
      "node_modules/yaml",
    ],
  },
  probe: { modules: 30, never: ["generated/", "node_modules/"] },
  // A third of them are Istio's kinds and the YAML library, which views of configuration are made by; what is asked
  // seldom is loaded with its first use.
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

/** Imports every role's module and reports which module imported each. Paths are relative to the root. */
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
