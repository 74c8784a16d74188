import { create, fromBinary } from "@bufbuild/protobuf";
import { messageOf } from "../base/index.ts";
import type { XdsUpdate } from "../dataplane/index.ts";
import { RouteConfigurationSchema, VirtualHostSchema, type RouteConfiguration } from "../wire/envoy/index.ts";
import type { ConfigNotes } from "./config/config-check.ts";
import { announcedRouteTable, compileAnnouncedHost } from "./config/routing/route-config.ts";
import type { RouteTable, VirtualHost } from "./routing/route-table.ts";

interface AppliedHost {
  /** The resource as received, for dumps and for compiling it again when its table's settings change. */
  readonly body: Uint8Array;
  readonly compiled: VirtualHost;
}

/**
 * The virtual hosts of virtual host discovery, named `<route configuration>/<host>`. A changed host costs only its own
 * compilation.
 */
export class VirtualHosts {
  readonly #notes: ConfigNotes;
  /** The virtual hosts of each table, by name. */
  readonly #hosts = new Map<string, Map<string, AppliedHost>>();
  readonly #tables = new Map<string, RouteConfiguration>();

  constructor(notes: ConfigNotes) {
    this.#notes = notes;
  }

  /** Announces a route configuration without its own hosts. Returns undefined until one of its hosts has arrived. */
  announce(message: RouteConfiguration): RouteTable | undefined {
    this.#tables.set(message.name, message);
    const hosts = this.#hosts.get(message.name);
    for (const [name, { body }] of hosts ?? []) hosts?.set(name, this.#compile(body, message));
    return this.#table(message.name);
  }

  /** Called when the table has its own hosts now, or was removed. */
  retract(table: string): void {
    this.#tables.delete(table);
  }

  /** Returns the faults of hosts that could not be applied, and the tables that have changed. */
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
        // Copies the bytes, because a slice would keep the whole response in memory.
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

  /** A route configuration with its separately received hosts, for dumps. */
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
    // A table without any host serves nothing.
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
