import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { revisionFlag, type CommonFlags } from "../flags.ts";
import { askPilot, listPilotsOf } from "./pilots.ts";
import { renderTable } from "../terminal/table.ts";

interface ClusterInfo {
  readonly id?: string;
  readonly secretName?: string;
  readonly syncStatus?: string;
}

export function remoteClustersCommand(program: Command, context: CliContext): void {
  revisionFlag(program.command("remote-clusters"))
    .description("list the clusters that each control plane watches")
    .action(async (flags: CommonFlags & { readonly revision?: string }) => {
      const client = await context.connect(flags);
      const pilots = (await listPilotsOf(client, flags.revision)).toSorted((a, b) => (a.pod < b.pod ? -1 : 1));
      const rows = await Promise.all(
        pilots.map(async (pilot) => {
          const clusters = JSON.parse(await askPilot(client, pilot, 8080, "/debug/clusterz")) as readonly ClusterInfo[];
          return clusters.map(({ id = "", secretName = "", syncStatus = "" }) => [
            id,
            secretName,
            syncStatus,
            pilot.pod,
            pilot.revision,
          ]);
        }),
      );
      context.out(renderTable(["NAME", "SECRET", "STATUS", "ISTIOD", "REVISION"], rows.flat(), 5));
    });
}
