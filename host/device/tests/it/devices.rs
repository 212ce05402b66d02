//! Opening devices: by name or not at all.

use std::num::NonZeroUsize;

use device::{Device, DeviceConfig, OpenError, SimdLevel};
use domain::Class;

#[test]
fn cuda_without_a_card_is_an_error_that_says_what_was_tried() {
    let config = DeviceConfig::default();
    for name in ["cuda", "cuda-0", "cuda-7"] {
        let Err(error) = Device::open(name, &config) else {
            continue; // There is a card: `framegate-gpu` checks it.
        };
        assert_eq!(error.class(), Class::Unavailable);
        let message = error.to_string();
        assert!(message.contains(&format!("`{name}`")), "{message}");
        assert!(message.contains("`libcuda.so.1`"), "{message}");
        if matches!(error, OpenError::NoDriver { .. }) {
            assert!(message.contains("tried libcuda.so,"), "{message}");
        }
    }
}

#[test]
fn auto_says_which_device_it_took() {
    let device = Device::open("auto", &DeviceConfig::default()).unwrap();
    let note = device.note().unwrap();
    assert!(note.starts_with(&format!("`auto` took `{}`", device.name())), "{note}");
    assert!(Device::open("cpu", &DeviceConfig::default()).unwrap().note().is_none());
}

#[test]
fn a_name_that_no_device_has_is_refused() {
    for name in ["", "gpu", "cpu-1", "cuda-", "cuda-x", "CPU"] {
        let error = Device::open(name, &DeviceConfig::default()).err().unwrap();
        assert_eq!(error.class(), Class::Invalid, "{name}");
    }
}

#[test]
fn a_level_that_the_cpu_lacks_is_refused_and_one_it_has_is_taken() {
    for level in SimdLevel::ALL {
        let config = DeviceConfig { threads: NonZeroUsize::MIN, simd: Some(level) };
        match Device::open("cpu-0", &config) {
            Ok(device) => assert!(device.description().contains(level.name())),
            Err(error) => {
                assert!(!level.is_supported());
                assert!(error.to_string().contains(level.name()));
            }
        }
    }
    assert_eq!(SimdLevel::from_name("avx2"), Some(SimdLevel::Avx2));
    assert_eq!(SimdLevel::from_name("sse"), None);
}

#[test]
fn sessions_on_one_device_run_at_the_same_time_and_get_their_own_results() {
    use device::Op;
    use domain::planes::PixelFormat;

    let device =
        Device::open("cpu", &DeviceConfig { threads: NonZeroUsize::new(3).unwrap(), simd: None })
            .unwrap();
    std::thread::scope(|scope| {
        for session in 0..4_u8 {
            let stream = device.stream(crate::PLENTY).unwrap();
            scope.spawn(move || {
                let invert = (0..768).map(|at| 255 - (at % 256) as u8).collect::<Vec<_>>();
                let op = Op::apply_lut(&invert).unwrap();
                let bytes = vec![session; 640 * 480];
                let input = stream.picture(PixelFormat::Gray, 640, 480, &bytes).unwrap();
                for _ in 0..50 {
                    let result = stream.run(&op, &[&input]).unwrap();
                    let rows = result.rows(0).unwrap();
                    assert!(rows.iter().flatten().all(|byte| *byte == 255 - session));
                }
            });
        }
    });
}
