import { create, fromBinary } from "@bufbuild/protobuf";
import { messageOf } from "../base/index.ts";
import type { XdsUpdate } from "../dataplane/index.ts";
import { RouteConfigurationSchema, VirtualHostSchema, type RouteConfiguration } from "../wire/envoy/index.ts";
import type { ConfigNotes } from "./config/config-check.ts";
import { announcedRouteTable, compileAnnouncedHost } from "./config/routing/route-config.ts";
import type { RouteTable, VirtualHost } from "./routing/route-table.ts";

interface AppliedHost {
  /**
   * The bytes as received. They are needed for dumps, and to compile the host again when the settings of its table
   * change.
   */
  readonly body: Uint8Array;
  readonly compiled: VirtualHost;
}

/**
 * The virtual hosts that arrive by virtual host discovery, named `<route configuration>/<host>`. When a host changes,
 * only that host is compiled.
 */
export class VirtualHosts {
  readonly #notes: ConfigNotes;
  readonly #hosts = new Map<string, Map<string, AppliedHost>>();
  readonly #tables = new Map<string, RouteConfiguration>();

  constructor(notes: ConfigNotes) {
    this.#notes = notes;
  }

  /**
   * Takes a route configuration whose hosts arrive separately. Returns its table, or undefined until one of the hosts
   * has arrived.
   */
  announce(message: RouteConfiguration): RouteTable | undefined {
    this.#tables.set(message.name, message);
    const hosts = this.#hosts.get(message.name);
    for (const [name, { body }] of hosts ?? []) hosts?.set(name, this.#compile(body, message));
    return this.#table(message.name);
  }

  /** Called when the route configuration contains its own hosts now, or was removed. */
  retract(table: string): void {
    this.#tables.delete(table);
  }

  /** Applies an update. Returns the faults of hosts that could not be applied, and the tables that have changed. */
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
        // Copy the bytes, because a slice would keep the whole response in memory.
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

  /** A route configuration together with the hosts that arrived separately, for dumps. */
  whole(message: RouteConfiguration): RouteConfiguration {
    const { vhds: _, ...fields } = message;
    const hosts = [...(this.#hosts.get(message.name)?.values() ?? [])].map(({ body }) =>
      fromBinary(VirtualHostSchema, body),
    );
    return create(RouteConfigurationSchema, { ...fields, virtualHosts: hosts });
  }

  #compile(body: Uint8Array, table: RouteConfiguration): AppliedHost {
    const message = fromBinary(VirtualHostSchema, body);
    this.#notes.services.buckets?.begin(`virtual host ${message.name} of ${table.name}`);
    return { body, compiled: compileAnnouncedHost(message, table, this.#notes) };
  }

  #table(name: string): RouteTable | undefined {
    const message = this.#tables.get(name);
    const hosts = this.#hosts.get(name);
    this.#notes.services.buckets?.begin(`announced table ${name}`);
    // A table without any host would refuse everything, so there is no table yet.
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
