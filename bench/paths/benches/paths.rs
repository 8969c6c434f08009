//! The hot paths in nanoseconds per call, each beside its yardstick.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stentor_paths::{path, runtime};

criterion_group!(benches, hot_paths);
criterion_main!(benches);

fn hot_paths(criterion: &mut Criterion) {
    let runtime = runtime();
    let _guard = runtime.enter();
    for path in path::all() {
        let mut group = criterion.benchmark_group(&path.group);
        group.throughput(Throughput::Elements(path.messages as u64));
        group.bench_function(path.name, |bencher| bencher.iter((path.make)()));
        group.finish();
    }
}
