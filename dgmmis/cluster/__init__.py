"""Passes over a Dask cluster: futures only, the same bits for any workers, threads and order of arrival."""

from dgmmis.cluster.access import Access
from dgmmis.cluster.cluster_pass import ClusterPasses, cluster_summarize
from dgmmis.cluster.local import connect, local_cluster

__all__ = ["Access", "ClusterPasses", "cluster_summarize", "connect", "local_cluster"]
