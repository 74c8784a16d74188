// Watches from a version, from the start, by selectors, as tables and metadata, and with bookmarks. Lists as streams.
import { asTable, get, patch, post, remove, watch, type Exchange } from "../exchange.ts";
import { configMap, core } from "./places.ts";

const maps = core("configmaps", "watched");
/** The version before all changes in the namespace. */
const from = (earlier: (title: string) => { metadata: { resourceVersion: string } }): string =>
  `resourceVersion=${earlier("the watched namespace").metadata.resourceVersion}`;
/** Limits a stream that does not end with its last object. */
const bound = "timeoutSeconds=60";
const partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";

export const streaming: readonly Exchange[] = [
  post("the watched namespace", "/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "watched" },
  }),
  post("watched: a first object", maps, configMap("first", { a: "1" }, { labels: { watched: "yes" } })),
  patch("merge", "watched: it changes", `${maps}/first`, { data: { a: "2" } }),
  patch("merge", "watched: it no longer matches", `${maps}/first`, { metadata: { labels: { watched: "no" } } }),
  patch("merge", "watched: it matches again", `${maps}/first`, { metadata: { labels: { watched: "yes" } } }),
  post("watched: one that goes", maps, configMap("passing", {}, { labels: { watched: "yes" } })),
  remove("watched: it goes", `${maps}/passing`),
  post("watched: the last", maps, configMap("end", {}, { labels: { watched: "yes" } })),
  watch("a watch from a version", (earlier) => `${maps}?watch=true&${bound}&${from(earlier)}`),
  watch("a watch by labels", (earlier) => `${maps}?watch=true&${bound}&labelSelector=watched%3Dyes&${from(earlier)}`),
  watch(
    "a watch by fields",
    (earlier) => `${maps}?watch=true&${bound}&fieldSelector=metadata.name%21%3Dfirst&${from(earlier)}`,
  ),
  watch("a watch as tables", (earlier) => `${maps}?watch=true&${bound}&${from(earlier)}`, '"name":"end"', {
    accept: asTable,
  }),
  watch("a watch of metadata", (earlier) => `${maps}?watch=true&${bound}&${from(earlier)}`, '"name":"end"', {
    accept: partial,
  }),
  watch(
    "a watch by the old path",
    (earlier) => `/api/v1/watch/namespaces/watched/configmaps?${bound}&${from(earlier)}`,
  ),
  watch(
    "a watch of all namespaces",
    (earlier) => `/api/v1/configmaps?watch=1&${bound}&fieldSelector=metadata.namespace%3Dwatched&${from(earlier)}`,
  ),
  watch("a watch of one object", (earlier) => `${maps}/end?watch=true&${bound}&${from(earlier)}`),
  watch("a watch that says true by nothing but its name", (earlier) => `${maps}?watch&${bound}&${from(earlier)}`),
  get("a watch of the future", `${maps}?watch=true&resourceVersion=99999999&timeoutSeconds=1`),
  get("a watch of no version at all", `${maps}?watch=true&resourceVersion=abc`),
  get("a watch with a bad selector", `${maps}?watch=true&labelSelector=%3D%3D`),
  get("a watch of a kind that is not there", "/api/v1/namespaces/watched/nothings?watch=true"),
  watch(
    "a list as a stream",
    `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&${bound}`,
    "initial-events-end",
  ),
  watch(
    "a list as a stream, as tables",
    `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&${bound}`,
    "initial-events-end",
    { accept: asTable },
  ),
  watch(
    "a list as a stream, of metadata",
    `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&${bound}`,
    "initial-events-end",
    { accept: partial },
  ),
  watch(
    "a list as a stream, of nothing",
    `${maps}?watch=true&labelSelector=none&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&${bound}`,
    "initial-events-end",
  ),
  watch(
    "a list as a stream, from a version",
    (earlier) =>
      `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&${bound}&${from(earlier)}`,
    "initial-events-end",
  ),
  get("a list as a stream without a match", `${maps}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true`),
  get(
    "a list as a stream of another match",
    `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1`,
  ),
  get("initial events without a watch", `${maps}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan`),
  get(
    "a match in a watch without initial events",
    `${maps}?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1`,
  ),
  get("a time that is no number", `${maps}?watch=true&timeoutSeconds=soon`),
];
