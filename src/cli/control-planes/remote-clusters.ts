import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { revisionFlag, type CommonFlags } from "../flags.ts";
import { timeoutFlag, type TimeoutFlags } from "../deadline.ts";
import { askEach, askPilot, endWithFaults, endWithoutPilots, reachPilots, type Pilot } from "./pilots.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { fittedTable } from "../terminal/fitted-table.ts";

interface ClusterInfo {
  readonly id?: string;
  readonly secretName?: string;
  readonly syncStatus?: string;
}

interface RemoteClustersFlags extends CommonFlags, TimeoutFlags {
  readonly revision?: string;
  readonly output?: string;
}

export function remoteClustersCommand(program: Command, context: CliContext): void {
  timeoutFlag(revisionFlag(program.command("remote-clusters")))
    .description("list the clusters that each control plane watches")
    .option("-o, --output <format>", "json, yaml or table", "table")
    .action(async (flags: RemoteClustersFlags) => {
      const format = outputFormat(flags.output, ["json", "yaml", "table"]);
      const { client, pilots: found } = await reachPilots(flags, context);
      const pilots = found.toSorted((a, b) => (a.pod < b.pod ? -1 : 1));
      if (pilots.length === 0) return await endWithoutPilots(client, context);
      const ask = async (pilot: Pilot): Promise<readonly ClusterInfo[]> =>
        JSON.parse(await askPilot(client, pilot, 8080, "/debug/clusterz")) as readonly ClusterInfo[];
      const { answers, faults } = await askEach(pilots, ask, flags, context);
      const clusters = answers.flatMap(({ pilot, answer }) =>
        answer.map(({ id = "", secretName = "", syncStatus = "" }) => ({
          name: id,
          secret: secretName,
          status: syncStatus,
          istiod: pilot.pod,
          revision: pilot.revision,
        })),
      );
      const rows = clusters.map(({ name, secret, status, istiod, revision }) => [
        name,
        secret,
        status,
        istiod,
        revision,
      ]);
      const titles = ["NAME", "SECRET", "STATUS", "ISTIOD", "REVISION"];
      context.out(
        format === "table"
          ? fittedTable(titles, rows, { columns: context.columns(), gap: 5 })
          : await renderValue(clusters, format),
      );
      endWithFaults(faults, context);
    });
}
