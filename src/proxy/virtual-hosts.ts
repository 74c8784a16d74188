import { create, fromBinary } from "@bufbuild/protobuf";
import { messageOf } from "../base/index.ts";
import type { XdsUpdate } from "../dataplane/index.ts";
import { RouteConfigurationSchema, VirtualHostSchema, type RouteConfiguration } from "../wire/envoy/index.ts";
import type { ConfigNotes } from "./config/config-check.ts";
import { announcedRouteTable, compileAnnouncedHost } from "./config/route-config.ts";
import type { RouteTable, VirtualHost } from "./routing/route-table.ts";

interface AppliedHost {
  /** Kept as it came, to be shown to those who ask, and compiled anew when its table's own settings change. */
  readonly body: Uint8Array;
  readonly compiled: VirtualHost;
}

/** Route configurations whose virtual hosts come by themselves, by `<route configuration>/<host>`: a change of one costs what that one is. */
export class VirtualHosts {
  readonly #notes: ConfigNotes;
  /** Hosts by name, by table. */
  readonly #hosts = new Map<string, Map<string, AppliedHost>>();
  readonly #tables = new Map<string, RouteConfiguration>();

  constructor(notes: ConfigNotes) {
    this.#notes = notes;
  }

  /** Takes a route configuration without hosts of its own; undefined while none of its hosts has come. */
  announce(message: RouteConfiguration): RouteTable | undefined {
    this.#tables.set(message.name, message);
    const hosts = this.#hosts.get(message.name);
    for (const [name, { body }] of hosts ?? []) hosts?.set(name, this.#compile(body, message));
    return this.#table(message.name);
  }

  /** The table brings its hosts itself, or is gone. */
  retract(table: string): void {
    this.#tables.delete(table);
  }

  /** Answers what was wrong with hosts that could not be taken, and the tables that are others now. */
  apply(update: XdsUpdate): {
    readonly troubles: readonly string[];
    readonly tables: ReadonlyMap<string, RouteTable | undefined>;
  } {
    const troubles: string[] = [];
    const changed = new Set<string>();
    for (const resource of update.resources) {
      const table = tableOf(resource.name);
      try {
        const hosts = this.#hosts.get(table) ?? new Map<string, AppliedHost>();
        // A copy: what came is a part of a whole answer, which it would keep in memory.
        hosts.set(
          resource.name,
          this.#compile(
            new Uint8Array(resource.body),
            this.#tables.get(table) ?? create(RouteConfigurationSchema, { name: table }),
          ),
        );
        this.#hosts.set(table, hosts);
        changed.add(table);
      } catch (error) {
        troubles.push(messageOf(error));
      }
    }
    for (const name of update.removed) {
      const table = tableOf(name);
      if (this.#hosts.get(table)?.delete(name) === true) changed.add(table);
    }
    const announced = [...changed].filter((table) => this.#tables.has(table));
    return { troubles, tables: new Map(announced.map((table) => [table, this.#table(table)])) };
  }

  /** A route configuration with the hosts that came for it, as those who look at the proxy expect it. */
  whole(message: RouteConfiguration): RouteConfiguration {
    const { vhds: _, ...fields } = message;
    const hosts = [...(this.#hosts.get(message.name)?.values() ?? [])].map(({ body }) =>
      fromBinary(VirtualHostSchema, body),
    );
    return create(RouteConfigurationSchema, { ...fields, virtualHosts: hosts });
  }

  #compile(body: Uint8Array, table: RouteConfiguration): AppliedHost {
    return { body, compiled: compileAnnouncedHost(fromBinary(VirtualHostSchema, body), table, this.#notes) };
  }

  #table(name: string): RouteTable | undefined {
    const message = this.#tables.get(name);
    const hosts = this.#hosts.get(name);
    // Where the last of the hosts has gone, nobody is served by it any more.
    return message === undefined || hosts === undefined
      ? undefined
      : announcedRouteTable(
          message,
          [...hosts.values()].map(({ compiled }) => compiled),
          this.#notes,
        );
  }
}

function tableOf(name: string): string {
  return name.slice(0, Math.max(0, name.indexOf("/")));
}
