"""A CT slice's header as scanners write it: some hundred elements, sequences and private ones among them."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset

_ATTRIBUTES: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "HELICAL"],
    "InstanceCreationDate": "20240312",
    "InstanceCreationTime": "101533.000000",
    "StudyDate": "20240312",
    "SeriesDate": "20240312",
    "AcquisitionDate": "20240312",
    "ContentDate": "20240312",
    "StudyTime": "101206.000000",
    "SeriesTime": "101431.230000",
    "AccessionNumber": "A00012345",
    "Modality": "CT",
    "Manufacturer": "PHANTOM MEDICAL SYSTEMS",
    "InstitutionName": "Benchmark Hospital",
    "InstitutionAddress": "1 Example Street",
    "ReferringPhysicianName": "Referring^Physician",
    "StationName": "CT01",
    "StudyDescription": "CT Thorax and Abdomen",
    "SeriesDescription": "Thorax 0.6 soft tissue",
    "InstitutionalDepartmentName": "Radiology",
    "PerformingPhysicianName": "Performing^Physician",
    "OperatorsName": "Operator^One",
    "ManufacturerModelName": "Phantom 128",
    "IrradiationEventUID": "2.25.1.7",
    "PatientName": "Phantom^Body",
    "PatientID": "PHANTOM-1",
    "PatientBirthDate": "19600101",
    "PatientSex": "O",
    "PatientAge": "064Y",
    "PatientSize": "1.75",
    "PatientWeight": "75",
    "PatientComments": "made by a benchmark",
    "BodyPartExamined": "CHEST",
    "ScanOptions": "HELICAL MODE",
    "SliceThickness": "0.625",
    "KVP": "120",
    "DataCollectionDiameter": "500",
    "DeviceSerialNumber": "12345",
    "SoftwareVersions": ["VA20A", "R3"],
    "ProtocolName": "Thorax routine",
    "ContrastBolusAgent": "APPLIED",
    "ContrastBolusVolume": "90",
    "ReconstructionDiameter": "350",
    "DistanceSourceToDetector": "1085.6",
    "DistanceSourceToPatient": "595",
    "GantryDetectorTilt": "0",
    "TableHeight": "155",
    "RotationDirection": "CW",
    "ExposureTime": "500",
    "XRayTubeCurrent": "240",
    "Exposure": "120",
    "FilterType": "FLAT",
    "GeneratorPower": "28",
    "FocalSpots": ["1.2"],
    "DateOfLastCalibration": "20240312",
    "TimeOfLastCalibration": "060000.000000",
    "ConvolutionKernel": ["Br40f", "3"],
    "PatientPosition": "FFS",
    "RevolutionTime": 0.5,
    "SingleCollimationWidth": 0.6,
    "TotalCollimationWidth": 38.4,
    "TableSpeed": 55.2,
    "TableFeedPerRotation": 27.6,
    "SpiralPitchFactor": 0.72,
    "DataCollectionCenterPatient": [0.0, 0.0, 100.0],
    "ReconstructionTargetCenterPatient": [0.0, 0.0, 100.0],
    "ExposureModulationType": "XYZ_EC",
    "EstimatedDoseSaving": 18.3,
    "CTDIvol": 8.1,
    "StudyID": "1",
    "SeriesNumber": "4",
    "AcquisitionNumber": "2",
    "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    "FrameOfReferenceUID": "2.25.1.8",
    "PositionReferenceIndicator": "SN",
    "ImageComments": "phantom",
    "PixelSpacing": [0.683594, 0.683594],
    "SmallestImagePixelValue": 0,
    "LargestImagePixelValue": 4095,
    "WindowCenter": ["40", "-600"],
    "WindowWidth": ["400", "1200"],
    "WindowCenterWidthExplanation": ["MEDIASTINUM", "LUNG"],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
    "RequestingPhysician": "Requesting^Physician",
    "RequestedProcedureDescription": "CT Thorax and Abdomen",
    "PerformedProcedureStepStartDate": "20240312",
    "PerformedProcedureStepStartTime": "101206.000000",
    "PerformedProcedureStepID": "P00012345",
    "PerformedProcedureStepDescription": "CT Thorax and Abdomen",
}
_SPACING = 0.625
"""Millimetres between slices."""
_PRIVATE = 12


def add_ct_attributes(ds: Dataset, number: int) -> None:
    """Describe the slice `number` of a series, from 0."""
    for keyword, value in _ATTRIBUTES.items():
        setattr(ds, keyword, value)
    position = number * _SPACING
    ds.InstanceNumber, ds.SliceLocation = number + 1, f"{position:.3f}"
    ds.ImagePositionPatient = [-175.0, -175.0, round(position, 3)]
    ds.ContentTime = ds.AcquisitionTime = f"101431.{number:06d}"
    ds.ReferencedStudySequence = [_reference("1.2.840.10008.3.1.2.3.1")]
    ds.SourceImageSequence = [_reference("1.2.840.10008.5.1.4.1.1.2")]
    ds.ProcedureCodeSequence = [_code("CTTHAB", "CT Thorax and Abdomen")]
    ds.CTDIPhantomTypeCodeSequence = [_code("113691", "IEC Body Dosimetry Phantom")]
    block = ds.private_block(0x0019, "PHANTOM CT HEADER", create=True)
    for offset in range(_PRIVATE):
        block.add_new(offset, "DS", f"{offset * 1.25:.2f}")


def _reference(sop_class: str) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class, "2.25.1.9"
    return ds


def _code(value: str, meaning: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, "DCM", meaning
    return ds
