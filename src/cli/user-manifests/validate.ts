import type { Command } from "commander";
import { nearestName, userError, withArticle } from "../../base/index.ts";
import { fieldTypes, withFieldTypes } from "../../base/field-types/index.ts";
import type { FieldIssue, KindDefinition } from "../../api/index.ts";
import type { Service } from "../../api/kubernetes/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds, parseIstioOperator } from "../../api/istio/index.ts";
import { rolloutKinds } from "../../api/serin/index.ts";
import { groupKindOf, nameOf, type ManifestFault, type Resource } from "../../analyze/index.ts";
import { CommandEnd } from "../command-end.ts";
import type { CliContext } from "../context.ts";
import { collect, type CommonFlags } from "../flags.ts";
import { faultText, readManifests } from "./manifest-files.ts";

interface ValidateFlags extends CommonFlags {
  readonly filename: readonly string[];
}

interface Findings {
  readonly errors: readonly ManifestFault[];
  readonly warnings: readonly ManifestFault[];
}

const failedExitCode = 1;
const topFields = ["apiVersion", "kind", "metadata", "spec", "status"];
const operatorKind = "install.istio.io/IstioOperator";
const kinds = new Map<string, KindDefinition>(
  [...istioKinds, ...gatewayApiKinds, ...rolloutKinds].map((kind) => [`${kind.group}/${kind.kind}`, kind]),
);
/** The API groups whose kinds are all known here. */
const ownGroups = new Set([...istioKinds, ...gatewayApiKinds, ...rolloutKinds].map(({ group }) => group));

export function validateCommand(program: Command, context: CliContext): void {
  program
    .command("validate [files...]")
    .alias("v")
    .description("check objects of Istio, of the Gateway API and of rollouts in files, without a cluster")
    .option(
      "-f, --filename <file>",
      "a file, a directory with its subdirectories, or - for standard input; may be repeated",
      collect,
      [],
    )
    .option("-x, --referential", "has no effect; exists for old scripts")
    .addHelpText("after", "\nanalyze checks how objects fit together.\n")
    .action(
      async (files: readonly string[], flags: ValidateFlags) =>
        await run([...flags.filename.flatMap((names) => names.split(",")), ...files], context),
    );
}

async function run(paths: readonly string[], context: CliContext): Promise<void> {
  if (paths.length === 0)
    throw userError("argument-missing", "there is nothing to validate: name files by --filename", {
      hint: "serin validate -f FILE, -f DIRECTORY, or -f - for standard input",
    });
  const manifests = await readManifests(paths, "all", context);
  const found = manifests.resources.map(findingsOf);
  const errors = [...manifests.faults, ...found.flatMap((findings) => findings.errors)];
  const warnings = found.flatMap((findings) => findings.warnings);
  for (const file of manifests.files) {
    const [ofFile, warningsOfFile] = [errors, warnings].map((faults) => faults.filter((fault) => fault.file === file));
    for (const fault of ofFile ?? []) context.err(`Error: ${faultText(fault)}\n`);
    for (const fault of warningsOfFile ?? []) context.err(`Warning: ${faultText(fault)}\n`);
    if (ofFile?.length === 0) context.out(okText(file, warningsOfFile?.length ?? 0));
  }
  if (errors.length === 0) return;
  context.err(
    `Error: ${errors.length} ${errors.length === 1 ? "error" : "errors"} in ${new Set(errors.map(({ file }) => file)).size} of ${manifests.files.length} ${manifests.files.length === 1 ? "file" : "files"}\n`,
  );
  throw new CommandEnd("problem-found", failedExitCode);
}

function okText(file: string, warnings: number): string {
  if (warnings > 0) return `"${file}" is valid, with ${warnings} ${warnings === 1 ? "warning" : "warnings"}\n`;
  return file === "-" ? "validation succeed\n" : `"${file}" is valid\n`;
}

function findingsOf(resource: Resource): Findings {
  const { object } = resource;
  const groupKind = groupKindOf(object);
  const kind = kinds.get(groupKind);
  if (kind !== undefined)
    return findings(
      resource,
      [...versionIssues(resource, kind), ...topIssues(resource), ...(kind.parse?.(object).errors ?? [])],
      kind.parse?.(object).warnings ?? [],
    );
  if (groupKind === operatorKind) {
    const { errors, warnings } = parseIstioOperator(object);
    return findings(resource, [...topIssues(resource), ...errors], warnings);
  }
  if (groupKind === "/Service") {
    const { value, faults } = withFieldTypes<Service>(object, serviceFields);
    return findings(resource, faults, portIssues(value));
  }
  return findings(resource, unknownKindIssues(groupKind), []);
}

function findings(resource: Resource, errors: readonly FieldIssue[], warnings: readonly FieldIssue[]): Findings {
  const { source } = resource;
  const located = ({ path, message }: FieldIssue): ManifestFault => ({
    file: source?.file ?? "",
    position: source?.positionOf(path),
    message: `${nameOf(resource)}: ${path === "" ? "" : `${path} `}${message}`,
  });
  return { errors: errors.map(located), warnings: warnings.map(located) };
}

function versionIssues(
  { object: { apiVersion = "" } }: Resource,
  { group, versions, kind }: KindDefinition,
): readonly FieldIssue[] {
  const version = apiVersion.slice(group.length + 1);
  if (versions.includes(version)) return [];
  return [
    {
      path: "apiVersion",
      message: `must be ${versions.map((known) => `${group}/${known}`).join(" or ")} for ${withArticle(kind)}, got "${apiVersion}"`,
    },
  ];
}

function topIssues({ object }: Resource): readonly FieldIssue[] {
  return Object.keys(object)
    .filter((field) => !topFields.includes(field))
    .map((field) => {
      const near = nearestName(field, topFields);
      return {
        path: field,
        message: `is not a top-level field of an object${near === undefined ? "; does it belong below spec?" : `; did you mean ${near}?`}`,
      };
    });
}

function unknownKindIssues(groupKind: string): readonly FieldIssue[] {
  const slash = groupKind.lastIndexOf("/");
  const [group, kind] = [groupKind.slice(0, slash), groupKind.slice(slash + 1)];
  if (ownGroups.has(group)) {
    const near = nearestName(
      kind,
      [...kinds.values()].filter((known) => known.group === group).map((known) => known.kind),
    );
    return [
      {
        path: "kind",
        message: `is not a kind of ${group}, got "${kind}"${near === undefined ? "" : `; did you mean ${near}?`}`,
      },
    ];
  }
  const home = [...kinds.values()].find((known) => known.kind === kind);
  // Refuse unknown kinds only in groups with "istio" in their names. Other tools have kinds with the same names in
  // other groups.
  if (home === undefined || !group.includes("istio")) return [];
  return [{ path: "apiVersion", message: `must be of group ${home.group} for ${withArticle(kind)}, got "${group}"` }];
}

const { list, number, object: objectOf, text } = fieldTypes;
const serviceFields = {
  spec: objectOf({ ports: list({ name: text, protocol: text, appProtocol: text, port: number }) }),
};

/** Checks that a port states its protocol in its name or appProtocol. */
function portIssues({ spec: { ports = [] } = {} }: Service): readonly FieldIssue[] {
  return ports.flatMap(({ name, protocol, appProtocol }, index) => {
    if (
      appProtocol !== undefined ||
      protocol === "UDP" ||
      /^(http2?|https|grpc|grpc-web|tcp|tls|udp|mongo|redis|mysql)(-|$)/.test(name ?? "")
    )
      return [];
    return [
      {
        path: `spec.ports[${index}]`,
        message:
          name === undefined
            ? "has no name, so proxies detect its protocol; name it <protocol>-<name>"
            : `is named "${name}", which contains no protocol, so proxies detect it; name it <protocol>-<name>, such as http-${name}`,
      },
    ];
  });
}
