import { Option, type Command } from "commander";
import { userError } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { customResourceDefinitionKind, type CustomResourceDefinition } from "../../api/kubernetes/index.ts";
import { isNewerRelease } from "../../install/index.ts";
import type { CliContext, ConnectionFlags, GatewayApiChannel } from "../context.ts";
import { connectionFlags } from "../flags.ts";

interface GatewayApiFlags extends ConnectionFlags {
  readonly channel: GatewayApiChannel;
  readonly dryRun?: boolean;
}

const fieldManager = "serin-gateway-api";
const versionAnnotation = "gateway.networking.k8s.io/bundle-version";
const channelAnnotation = "gateway.networking.k8s.io/channel";

export function gatewayApiCommands(program: Command, context: CliContext): void {
  const group = program.command("gateway-api").description("install the Gateway API's definitions into the cluster");
  connectionFlags(
    group
      .command("install")
      .description("install the definitions of this release, and keep newer ones of the cluster")
      .addOption(
        new Option("--channel <name>", "the channel of the definitions")
          .choices(["standard", "experimental"])
          .default("standard"),
      )
      .option("--dry-run", "print the changes, and write nothing"),
  ).action(async (flags: GatewayApiFlags) => await install(flags, context));
}

async function install(flags: GatewayApiFlags, context: CliContext): Promise<void> {
  const [client, wanted] = [await context.connect(flags), await context.gatewayApiDefinitions(flags.channel)];
  const { items } = await client.list(customResourceDefinitionKind);
  const live = new Map(items.map((definition) => [definition.metadata.name ?? "", definition]));
  refuseSmallerChannel(wanted, live, flags.channel);
  const suffix = flags.dryRun === true ? " (dry run)" : "";
  for (const definition of wanted) {
    const name = definition.metadata.name ?? "";
    const before = live.get(name)?.metadata.annotations?.[versionAnnotation];
    const after = definition.metadata.annotations?.[versionAnnotation] ?? "";
    if (before !== undefined && isNewerRelease(before, after)) {
      context.out(`- ${name} stays at ${before}, which is newer than ${after}\n`);
      continue;
    }
    if (flags.dryRun !== true)
      await client.apply(customResourceDefinitionKind, definition, {
        fieldManager,
        force: true,
      });
    context.out(`✔ ${name} ${before === undefined ? "" : `${before} -> `}${after}${suffix}\n`);
  }
}

/**
 * Throws if the standard channel would replace the experimental one. The standard channel lacks fields that stored
 * objects may use.
 */
function refuseSmallerChannel(
  wanted: readonly UntypedObject[],
  live: ReadonlyMap<string, CustomResourceDefinition>,
  channel: GatewayApiChannel,
): void {
  if (channel !== "standard") return;
  const larger = wanted
    .map(({ metadata }) => metadata.name ?? "")
    .filter((name) => live.get(name)?.metadata.annotations?.[channelAnnotation] === "experimental");
  if (larger.length === 0) return;
  throw userError(
    "argument-invalid",
    `the cluster has the experimental channel of ${larger.join(", ")}; the standard channel has fewer fields, and existing objects may use the other fields`,
    { hint: "serin gateway-api install --channel experimental" },
  );
}
