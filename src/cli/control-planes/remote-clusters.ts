import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { revisionFlag, type CommonFlags } from "../flags.ts";
import { askPilot, listPilotsOf } from "./pilots.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { renderTable } from "../terminal/table.ts";

interface ClusterInfo {
  readonly id?: string;
  readonly secretName?: string;
  readonly syncStatus?: string;
}

export function remoteClustersCommand(program: Command, context: CliContext): void {
  revisionFlag(program.command("remote-clusters"))
    .description("list the clusters that each control plane watches")
    .option("-o, --output <format>", "json, yaml or table", "table")
    .action(async (flags: CommonFlags & { readonly revision?: string; readonly output?: string }) => {
      const format = outputFormat(flags.output, ["json", "yaml", "table"]);
      const client = await context.connect(flags);
      const pilots = (await listPilotsOf(client, flags.revision)).toSorted((a, b) => (a.pod < b.pod ? -1 : 1));
      const listed = await Promise.all(
        pilots.map(async (pilot) => {
          const clusters = JSON.parse(await askPilot(client, pilot, 8080, "/debug/clusterz")) as readonly ClusterInfo[];
          return clusters.map(({ id = "", secretName = "", syncStatus = "" }) => ({
            name: id,
            secret: secretName,
            status: syncStatus,
            istiod: pilot.pod,
            revision: pilot.revision,
          }));
        }),
      );
      const clusters = listed.flat();
      if (format !== "table") return context.out(await renderValue(clusters, format));
      const rows = clusters.map(({ name, secret, status, istiod, revision }) => [
        name,
        secret,
        status,
        istiod,
        revision,
      ]);
      context.out(renderTable(["NAME", "SECRET", "STATUS", "ISTIOD", "REVISION"], rows, 5));
    });
}
