import { keyOf, type KubernetesObject } from "../../api/index.ts";
import { createRemoteFeeds } from "../ingest/remote-feeds.ts";
import { testMultiClusterKinds, type ModelFixture } from "./model-fixture.ts";

export interface RemoteFixture {
  readonly apply: (...objects: readonly KubernetesObject[]) => void;
  readonly remove: (...objects: readonly KubernetesObject[]) => void;
}

export function createRemoteFixture({ graph, inputs }: ModelFixture, clusterId: string): RemoteFixture {
  const nobody = (): void => undefined;
  const feeds = createRemoteFeeds(inputs.remote, clusterId, {
    kinds: testMultiClusterKinds,
    refused: nobody,
    warned: nobody,
  });
  const each = (objects: readonly KubernetesObject[], present: boolean): void =>
    graph.batch(() => {
      for (const object of objects) {
        const feed = feeds.find(({ kind }) => kind.kind === object.kind);
        if (feed === undefined)
          throw new Error(`a remote cluster's ${object.kind ?? "object without a kind"} is not read`);
        feed.take(keyOf(object), present ? object : undefined);
      }
    });
  graph.batch(() => inputs.remote.clusters.set(clusterId, { id: clusterId }));
  return { apply: (...objects) => each(objects, true), remove: (...objects) => each(objects, false) };
}
